"""How wakes end, on a locked runtime inside the caller's transaction, which saves the row. No VM's row is locked here."""

from datetime import datetime

from audit.append import append
from audit.kinds import EventKind
from envforge.actor import SYSTEM
from secrets_ref.consumption import end_consumption
from workspaces import activity, meter, routes
from workspaces.models import Observed, Power, RunningService, Runtime, SleepCause, Wake
from workspaces.wants import end_wake, touch, wake_again, want_asleep


def stopped(runtime: Runtime, *, at: datetime) -> None:
    """Its services were stopped, or are known to run no more: it sleeps, or wakes anew if that is wanted meanwhile."""
    _nothing_runs(runtime)
    if runtime.wanted == Power.AWAKE:
        runtime.observed, runtime.observed_at = Observed.WAKING, at
        touch(runtime, at)
        return
    fell_asleep(runtime, at=at)
    touch(runtime, at)


def fell_asleep(runtime: Runtime, *, at: datetime, disputed_s: int = 0) -> None:
    """It is asleep: the meter stops, the wake has its end."""
    cause = runtime.wanted_cause or SleepCause.ASKED
    wake = end_wake(runtime, at=at, cause=cause, disputed_s=disputed_s)
    runtime.observed, runtime.observed_at = Observed.ASLEEP, at
    runtime.trouble = runtime.trouble_word = ""
    append(EventKind.RUNTIME_SLEPT, actor=SYSTEM, target=runtime, cause=cause, awake_s=_awake_s(wake))


def failed(runtime: Runtime, *, at: datetime, word: str, words: str) -> None:
    """The wake came to its end without the services; whoever asks next begins another one.

    What was started of it may run until its VM has stopped it: its ingress ports are nobody else's until then (`nothing_is_left`).
    """
    routes.withdraw(runtime)
    _nothing_counts(runtime)
    end_wake(runtime, at=at, cause=SleepCause.FAILED)
    runtime.observed, runtime.observed_at = Observed.FAILED, at
    runtime.wanted, runtime.wanted_at = Power.ASLEEP, at
    runtime.wanted_cause, runtime.wanted_by = SleepCause.FAILED, SYSTEM.label
    runtime.trouble, runtime.trouble_word = words[:500], word
    activity.end(runtime)
    touch(runtime, at)
    append(EventKind.RUNTIME_WAKE_FAILED, actor=SYSTEM, target=runtime, reason=word)


def lost(
    runtime: Runtime, *, at: datetime, cause: SleepCause, ran_until: datetime, disputed_s: int = 0
) -> None:
    """Its VM, or what ran there, is gone: the meter ends at its last sign of life (H6), and it wakes on another one (W11).

    Args:
        ran_until: when the meter ends.
        disputed_s: how long of that nothing was heard of it.
    """
    routes.withdraw(runtime)
    was = runtime.observed
    _nothing_runs(runtime)
    if runtime.wanted == Power.ASLEEP:
        fell_asleep(runtime, at=ran_until, disputed_s=disputed_s)
        runtime.observed_at = at
        touch(runtime, at)
        return
    runtime.observed, runtime.observed_at = Observed.WAKING, at
    if was == Observed.STOPPING or was == Observed.STARTING:
        # The wake that begins, or was beginning, simply goes on elsewhere.
        touch(runtime, at)
        return
    end_wake(runtime, at=ran_until, cause=cause, disputed_s=disputed_s)
    try:
        meter.require_below_cap(runtime)
    except meter.CapReached:
        want_asleep(runtime, actor=SYSTEM, cause=SleepCause.CAP)
        return
    wake_again(runtime, at=at)


def begins_anew(runtime: Runtime, *, at: datetime) -> None:
    """Its VM started nothing of the wake that is beginning, and is asked once more in the same wake."""
    _nothing_runs(runtime)
    runtime.observed, runtime.observed_at = Observed.WAKING, at
    touch(runtime, at)


def nothing_is_left(runtime: Runtime) -> None:
    """Its VM runs nothing of its last wake any more: its ingress ports are free."""
    RunningService.objects.filter(runtime=runtime).update(ingress=None)


def _nothing_runs(runtime: Runtime) -> None:
    nothing_is_left(runtime)
    _nothing_counts(runtime)


def _nothing_counts(runtime: Runtime) -> None:
    RunningService.objects.filter(runtime=runtime).update(health="stopped")
    end_consumption(org_id=runtime.org_id, workspace_id=runtime.workspace_id)


def _awake_s(wake: Wake | None) -> int:
    if wake is None or wake.ready_at is None or wake.ended_at is None:
        return 0
    return max(int((wake.ended_at - wake.ready_at).total_seconds()), 0)
