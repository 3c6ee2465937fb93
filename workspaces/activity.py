"""What keeps a runtime awake, and until when (W6, W7, DESIGN 7.5).

Use by people moves the coming sleep to one idle timeout later. What asks by itself (background requests, polls) moves it too, yet in total by
`BACKGROUND_EXTENDS_S` past what people did. Declared needs (job leases, what is declared in the shell) are activity for as long as they last. Rows are written
at most every `WRITTEN_EVERY`, however many requests there are; the coming sleep is exact to that.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from django.db.models import DurationField, ExpressionWrapper, F, Max, Q, QuerySet, Value
from django.db.models.functions import Coalesce, Greatest

from envforge import tenancy
from workspaces.models import CommandRun, JobLease, Power, Runtime, WakeCause

BACKGROUND_EXTENDS_S = 300
WRITTEN_EVERY = timedelta(seconds=15)
# Nobody declares a longer need than this at once.
KEPT_AWAKE_AT_MOST = timedelta(hours=12)
# A command's end is told within this after the time it was given; one that was never sent is not waited for longer than that.
COMMAND_ENDS_WITHIN = timedelta(minutes=5)
COMMAND_WAITS_AT_MOST = timedelta(hours=1)

# What `begin` and `end` set of a runtime, for whoever saves it.
FIELDS = ("active_at", "active_cause", "touched_at", "sleep_at")


class Use(StrEnum):
    """What the gateway saw: a person through a link or with their own sign-in, or what a page asks for by itself."""

    DEV_LINK = "dev_link"
    MEMBER_URL = "member_url"
    BACKGROUND = "background"


def begin(runtime: Runtime, at: datetime, cause: WakeCause | str) -> None:
    """A locked runtime is wanted awake: its idle time begins. Sets `FIELDS`; the caller saves them with what is wanted."""
    runtime.active_at = runtime.touched_at = at
    runtime.active_cause = str(cause)
    runtime.sleep_at = next_sleep(runtime)


def end(runtime: Runtime) -> None:
    """A locked runtime is wanted asleep: nothing is awaited any more. Sets `FIELDS`; the caller saves them."""
    runtime.sleep_at = None


def note(runtime: Runtime, *, at: datetime, cause: WakeCause | str) -> bool:
    """Somebody used it: its sleep moves. The row need not be locked; answers whether it was written."""
    if runtime.active_at is not None and at < runtime.active_at + WRITTEN_EVERY:
        return False
    sleep_at = at + timedelta(seconds=runtime.idle_timeout_s)
    written = (
        _awake(runtime)
        .filter(Q(active_at=None) | Q(active_at__lt=at))
        .update(
            active_at=at,
            active_cause=str(cause),
            touched_at=Greatest(Coalesce(F("touched_at"), at), at),
            sleep_at=Greatest(Coalesce(F("sleep_at"), sleep_at), sleep_at),
        )
    )
    if written:
        runtime.refresh_from_db(fields=FIELDS)
    return bool(written)


def touch(runtime: Runtime, *, at: datetime) -> bool:
    """Something spoke to it by itself: its sleep moves, but never further than `BACKGROUND_EXTENDS_S` past people's use.

    The row need not be locked; answers whether it was written.
    """
    if runtime.touched_at is not None and at < runtime.touched_at + WRITTEN_EVERY:
        return False
    if runtime.active_at is None:
        return False
    timeout = timedelta(seconds=runtime.idle_timeout_s)
    sleep_at = min(at, runtime.active_at + timedelta(seconds=BACKGROUND_EXTENDS_S)) + timeout
    written = (
        _awake(runtime)
        .filter(Q(touched_at=None) | Q(touched_at__lt=at))
        .update(touched_at=at, sleep_at=Greatest(Coalesce(F("sleep_at"), sleep_at), sleep_at))
    )
    if written:
        runtime.refresh_from_db(fields=FIELDS)
    return bool(written)


def note_request(org_id: UUID, workspace_id: UUID, kind: Use, at: datetime) -> bool:
    """What a gateway saw of a workspace, in batches: the latest of each kind is enough. Answers whether a row was written."""
    with tenancy.enter(org_id):
        runtime = Runtime.objects.filter(workspace_id=workspace_id, wanted=Power.AWAKE).first()
        if runtime is None:
            return False
        if kind is Use.BACKGROUND:
            return touch(runtime, at=at)
        return note(runtime, at=at, cause=WakeCause(kind.value))


def next_sleep(runtime: Runtime) -> datetime | None:
    """When it sleeps if nothing more happens, computed from all that is known; running commands, which have no known end, apart."""
    if runtime.active_at is None:
        return None
    lasts = [runtime.active_at]
    if runtime.touched_at is not None:
        lasts.append(min(runtime.touched_at, runtime.active_at + timedelta(seconds=BACKGROUND_EXTENDS_S)))
    leased = JobLease.objects.filter(runtime=runtime, released_at=None).aggregate(until=Max("until"))["until"]
    if leased is not None:
        lasts.append(leased)
    return max(lasts) + timedelta(seconds=runtime.idle_timeout_s)


def runs_command(runtime: Runtime, now: datetime) -> bool:
    """Whether a command runs in it, or waits to; one whose end got lost counts no longer than it was given time for."""
    waits = Q(sent_at=None, asked_at__gt=now - COMMAND_WAITS_AT_MOST)
    given = ExpressionWrapper(F("timeout_s") * Value(timedelta(seconds=1)), output_field=DurationField())
    runs = Q(sent_at__gt=Value(now - COMMAND_ENDS_WITHIN) - given)
    rows = CommandRun.objects.filter(workspace_id=runtime.workspace_id, finished_at=None)
    return rows.filter(waits | runs).exists()


def reckon(runtime: Runtime) -> None:
    """Write a locked runtime's coming sleep anew, after something that could bring it nearer: a lease's end, another timeout."""
    runtime.sleep_at = next_sleep(runtime) if runtime.wanted == Power.AWAKE else None
    runtime.save(update_fields=["sleep_at"])


def _awake(runtime: Runtime) -> QuerySet[Runtime]:
    return Runtime.objects.filter(id=runtime.id, wanted=Power.AWAKE)
