"""Changes of what is wanted of a runtime, inside an entered organization and a transaction whose caller has locked its row.

Callers have asked policy. What follows from a change is done by `workspaces.reconcile.runtimes`.
"""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge.actor import SYSTEM, Actor
from envforge.errors import Conflict
from envforge.nudge import nudge
from workspaces import activity, meter, routes
from workspaces.contracts import chosen
from workspaces.models import Observed, Power, Presence, Runtime, SleepCause, Wake, WakeCause
from workspaces.needed import idle_timeout_of, size_of

# States in which its last wake has its end.
OVER = frozenset({Observed.ASLEEP, Observed.FAILED})


def want_awake(runtime: Runtime, *, actor: Actor, cause: WakeCause, detail: str = "") -> bool:
    """Want a locked runtime awake; a thousand asks are one wake (W6).

    One that is falling asleep falls asleep first and wakes then; one whose last wake failed tries anew. Its size and idle
    timeout are what was chosen for the workspace, else the largest that its contracts ask for.

    Args:
        detail: what stands behind it, by name: the link, the test.

    Returns:
        Whether it was this ask that made it wanted.

    Raises:
        CapReached: a usage cap is at "stop" (W8).
    """
    if runtime.wanted == Power.AWAKE:
        return False
    meter.require_below_cap(runtime)
    now = timezone.now()
    if runtime.observed not in OVER:
        # Its last wake is over with this one's beginning, though its services have not ended yet.
        end_wake(runtime, at=now, cause=runtime.wanted_cause or SleepCause.ASKED)
    contracts = [one.contract for one in chosen(runtime.workspace).contracts]
    runtime.size = size_of(runtime.workspace, contracts)
    runtime.idle_timeout_s = idle_timeout_of(runtime.workspace, contracts)
    runtime.wanted, runtime.wanted_at = Power.AWAKE, now
    open_wake(runtime, actor=actor, cause=cause, detail=detail, at=now)
    _take_first_steps(runtime, now)
    activity.begin(runtime, now, cause)
    runtime.save()
    append(EventKind.RUNTIME_WAKE_REQUESTED, actor=actor, target=runtime, cause=cause)
    return True


def ask_awake(runtime: Runtime, *, actor: Actor, cause: WakeCause, detail: str = "") -> None:
    """`want_awake` for whoever uses the workspace: where it is awake or waking already, this is activity.

    Raises:
        CapReached: as `want_awake`.
        Conflict: the workspace is archived.
    """
    if runtime.workspace.wanted != Presence.PRESENT:
        raise Conflict("This workspace is archived. Restore it, then wake it.")
    if not want_awake(runtime, actor=actor, cause=cause, detail=detail):
        activity.note(runtime, at=timezone.now(), cause=cause)


def wake_again(runtime: Runtime, *, at: datetime) -> None:
    """A runtime that is wanted awake lost its VM: it wakes on another one, in a wake of its own (W11). Not activity."""
    open_wake(runtime, actor=SYSTEM, cause=WakeCause.RECOVERY, detail="", at=at)
    touch(runtime, at)
    runtime.save()
    append(EventKind.RUNTIME_WAKE_REQUESTED, actor=SYSTEM, target=runtime, cause=WakeCause.RECOVERY)


def want_asleep(runtime: Runtime, *, actor: Actor, cause: SleepCause) -> bool:
    """Want a locked runtime asleep: nobody is led there any more from this commit on (THREATS G2).

    Returns:
        Whether it was this ask that made it so.
    """
    if runtime.wanted == Power.ASLEEP:
        return False
    now = timezone.now()
    routes.withdraw(runtime)
    runtime.wanted, runtime.wanted_at = Power.ASLEEP, now
    runtime.wanted_cause, runtime.wanted_by = cause, actor.label
    if runtime.observed in {Observed.STARTING, Observed.AWAKE}:
        runtime.observed, runtime.observed_at = Observed.STOPPING, now
    activity.end(runtime)
    touch(runtime, now)
    runtime.save()
    append(EventKind.RUNTIME_SLEEP_REQUESTED, actor=actor, target=runtime, cause=cause)
    return True


def open_wake(runtime: Runtime, *, actor: Actor, cause: WakeCause, detail: str, at: datetime) -> None:
    """Begin the next wake; the caller has it followed up, and saves the row."""
    runtime.epoch += 1
    runtime.wanted_cause, runtime.wanted_by = cause, actor.label
    runtime.trouble = runtime.trouble_word = ""
    if runtime.observed in OVER:
        runtime.observed, runtime.observed_at = Observed.WAKING, at
    Wake.objects.create(
        runtime=runtime,
        epoch=runtime.epoch,
        cause=cause,
        asked_by=actor.label[:200],
        detail=detail[:200],
        asked_at=at,
        size=runtime.size,
    )


def end_wake(runtime: Runtime, *, at: datetime, cause: str, disputed_s: int = 0) -> Wake | None:
    """End the open wake, and its meter with it; again, it changes nothing."""
    meter.close_window(runtime, at=at, cause=cause, disputed_s=disputed_s)
    wake = Wake.objects.filter(runtime=runtime, ended_at=None).first()
    if wake is not None:
        wake.ended_at, wake.end_cause = max(at, wake.ready_at or wake.asked_at), cause
        wake.save(update_fields=["ended_at", "end_cause"])
    return wake


def _take_first_steps(runtime: Runtime, now: datetime) -> None:
    """Whoever asked for a wake takes its first steps once that is committed, which ask nobody but the database: a sleeping service on
    a VM that runs is not to wait for a worker, nor to share the processors with one that looks for the same. What a process that
    ends here leaves is the sweep's. One that never ran has no VM that could: it is the worker's.
    """
    if runtime.host_id is None:
        touch(runtime, now)
        return
    from workspaces import tasks  # noqa: PLC0415 - as in `touch`
    from workspaces.reconcile import runtimes  # noqa: PLC0415 - the reconciler leads here

    org_id, runtime_id = runtime.org_id, runtime.id

    def step() -> None:
        try:
            runtimes.reconcile(org_id, runtime_id)
        except Exception:
            nudge(tasks.reconcile_runtime, org_id, runtime_id)
            raise

    _make_due(runtime, now)
    transaction.on_commit(step, robust=True)


def touch(runtime: Runtime, now: datetime) -> None:
    """Note a change that a reconciler is to follow up at once; the caller saves the row."""
    from workspaces import tasks  # noqa: PLC0415 - a task leads to the reconciler, which leads here

    _make_due(runtime, now)
    nudge(tasks.reconcile_runtime, runtime.org_id, runtime.id)


def _make_due(runtime: Runtime, now: datetime) -> None:
    runtime.version += 1
    runtime.attempts, runtime.due_at = 0, now
