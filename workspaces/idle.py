"""Idle sleep, and the caps that end a wake: what the passing of time does to awake runtimes, as SYSTEM (W7, W8, DESIGN 7.5).

A sweep only finds what is due and hands it over by organization; its cost grows with what is due, not with what sleeps. Whatever is handed
over looks again with the rows locked, since somebody may have come in the meantime.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db.models import Q, QuerySet
from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import SYSTEM
from envforge.errors import NotVisible
from envforge.notify import Notice
from envforge.nudge import nudge
from orgs.policy import Action
from workspaces import activity, cap_notices, caps, lookups
from workspaces.caps import Standing
from workspaces.locks import locked_runtime
from workspaces.models import Cap, CapMode, JobLease, Observed, Power, Runtime, SleepCause, WakeCause
from workspaces.wants import want_asleep

MOST_DUE = 1000
# Organizations that one worker looks at in turn: a nudge costs more than a look.
TOGETHER = 10
# At a cap of mode "stop", a runtime that nobody used for this long goes to sleep, whatever its idle timeout.
IDLE_AT_CAP = timedelta(minutes=1)
SOONEST_LOOK = timedelta(seconds=15)

log = structlog.get_logger(__name__)


def sweep() -> int:
    """Hand over every runtime that may have been idle for long enough, some organizations to a worker; answers how many are due."""
    from workspaces import tasks  # noqa: PLC0415 - a task leads here

    due = lookups.runtimes_idle(timezone.now(), MOST_DUE)
    organizations = list(dict.fromkeys(org_id for org_id, _ in due))
    for start in range(0, len(organizations), TOGETHER):
        nudge(tasks.rest_idle, *organizations[start : start + TOGETHER])
    return len(due)


def sweep_caps() -> int:
    """Hand over every cap that should be looked at; answers how many."""
    from workspaces import tasks  # noqa: PLC0415 - a task leads here

    due = lookups.caps_due(timezone.now(), MOST_DUE)
    for org_id, cap_id in due:
        nudge(tasks.look_at_cap, org_id, cap_id)
    return len(due)


def rest(org_id: UUID) -> int:
    """Put an organization's idle runtimes to sleep; answers how many. Safe to run twice at once, at any time."""
    with tenancy.enter(org_id):
        due = Runtime.objects.filter(sleep_at__lte=timezone.now()).order_by("sleep_at")
        idle = list(due.values_list("workspace_id", flat=True)[:MOST_DUE])
    return sum(_one(org_id, workspace_id, _rest) for workspace_id in idle)


def look_at_cap(org_id: UUID, cap_id: UUID) -> int:
    """Say that a cap is neared or reached, and at "stop" put those to sleep whom it counts and nobody uses; answers how many slept."""
    with tenancy.enter(org_id):
        cap = Cap.objects.select_related("workspace").filter(id=cap_id).first()
        if cap is None or cap.due_at is None:
            return 0
        now = timezone.now()
        standing = caps.standing(cap, now)
        _tell(standing)
        stops = standing.reached and cap.mode == CapMode.STOP
        awake = _counted(cap).filter(wanted=Power.AWAKE).values_list("workspace_id", flat=True)
        resting = list(awake[:MOST_DUE]) if stops else []
        # Somebody who woke in the meantime has moved it, and that holds.
        Cap.objects.filter(id=cap.id, due_at=cap.due_at).update(
            due_at=_next_look(standing, still_awake=bool(resting))
        )
    return sum(_one(org_id, workspace_id, _rest_at_cap) for workspace_id in resting)


def _one(org_id: UUID, workspace_id: UUID, rests: Callable[[Runtime], bool]) -> bool:
    try:
        with tenancy.enter(org_id):
            return rests(locked_runtime(SYSTEM, Action.RUNTIME_SLEEP, workspace_id))
    except NotVisible:
        return False
    except Exception:
        # One runtime that cannot be put to sleep must not keep the others awake; the next sweep finds it again.
        log.exception("runtime.not_rested", workspace=str(workspace_id))
        return False


def _rest(runtime: Runtime) -> bool:
    now = timezone.now()
    if runtime.wanted != Power.AWAKE or runtime.sleep_at is None or runtime.sleep_at > now:
        return False
    if runtime.observed != Observed.AWAKE and runtime.wanted_cause != WakeCause.RECOVERY:
        # The time it takes to come up is no idleness, and a wake that does not come up ends by itself.
        runtime.sleep_at = now + timedelta(seconds=runtime.idle_timeout_s)
        runtime.save(update_fields=["sleep_at"])
        return False
    if activity.runs_command(runtime, now):
        runtime.active_at, runtime.active_cause = now, WakeCause.COMMAND
        runtime.save(update_fields=["active_at", "active_cause"])
    activity.reckon(runtime)
    if runtime.sleep_at is None or runtime.sleep_at > now:
        return False
    return want_asleep(runtime, actor=SYSTEM, cause=SleepCause.IDLE)


def _rest_at_cap(runtime: Runtime) -> bool:
    now = timezone.now()
    if runtime.wanted != Power.AWAKE or not caps.stopped(runtime.workspace_id, now):
        return False
    used = runtime.active_at is not None and runtime.active_at > now - IDLE_AT_CAP
    jobs = JobLease.objects.filter(runtime=runtime, released_at=None, until__gt=now)
    leased = jobs.exclude(holder_kind=JobLease.SHELL).exists()
    if used or leased or activity.runs_command(runtime, now):
        return False
    return want_asleep(runtime, actor=SYSTEM, cause=SleepCause.CAP)


def _tell(standing: Standing) -> None:
    """Record once a month that 80 % and all of it are used."""
    cap, month = standing.cap, standing.month.first
    news = None
    this = Cap.objects.filter(id=cap.id)
    fresh = Q(warned_for=None) | ~Q(warned_for=month)
    if standing.neared and this.filter(fresh).update(warned_for=month):
        append(
            EventKind.CAP_NEARED,
            actor=SYSTEM,
            target=cap,
            mode=cap.mode,
            hours=cap.hours,
            percent=standing.percent,
        )
        news = Notice.CAP_NEARED
    fresh = Q(reached_for=None) | ~Q(reached_for=month)
    if standing.reached and this.filter(fresh).update(reached_for=month):
        append(EventKind.CAP_REACHED, actor=SYSTEM, target=cap, mode=cap.mode, hours=cap.hours)
        news = Notice.CAP_REACHED
    if news is not None:
        cap_notices.tell(news, standing)


def _next_look(standing: Standing, *, still_awake: bool) -> datetime | None:
    """When the next threshold can be passed at the earliest, with as many awake as now; a wake brings it nearer."""
    now = timezone.now()
    if standing.cap.mode == CapMode.NONE or not (standing.awake or still_awake):
        return None
    if still_awake:
        return now + IDLE_AT_CAP
    ahead = [s - standing.used_s for s in (standing.warned_at_s, standing.limit_s) if s > standing.used_s]
    if not ahead or not standing.awake:
        return standing.month.ends
    soonest = timedelta(seconds=min(ahead) // standing.awake)
    return min(now + max(soonest, SOONEST_LOOK), standing.month.ends)


def _counted(cap: Cap) -> QuerySet[Runtime]:
    rows = Runtime.objects.all()
    return rows if cap.workspace_id is None else rows.filter(workspace_id=cap.workspace_id)
