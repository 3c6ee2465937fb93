"""What to do next about one VM, from what is wanted and what EC2 says: a function of both and the clock, nothing else."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from hosts.ec2 import Seen
from hosts.models import Host, Mend, Observed, Power
from hosts.wants import END_AFTER, STOP_AFTER

POLL = timedelta(seconds=5)
HOLD = timedelta(seconds=2)
# EC2 may not show an instance yet that it has just made ("Eventual consistency in the Amazon EC2 API").
SHOWN_WITHIN = timedelta(minutes=5)
JOINS_WITHIN = timedelta(minutes=10)
SILENT_AFTER = timedelta(minutes=5)
PENDING_AT_MOST = timedelta(minutes=15)
STOPPING_AT_MOST = timedelta(minutes=10)

# A VM that worked for this long was a good one: what fails later is counted anew.
GOOD_AFTER = timedelta(minutes=10)

GONE = frozenset({Observed.ABSENT, Observed.ENDED, Observed.VANISHED})


class Step(Enum):
    """One step; RENEW and CLOSE need nothing of EC2, RESTART and REPLACE only begin."""

    REST = auto()
    HOLD = auto()
    RUN = auto()
    START = auto()
    STOP = auto()
    FORCE_STOP = auto()
    END = auto()
    RESTART = auto()
    REPLACE = auto()
    RENEW = auto()
    CLOSE = auto()


@dataclass(frozen=True, slots=True)
class Decision:
    """The step, why, and when to look again; never where nothing will be due."""

    step: Step
    cause: str = ""
    look_at: datetime | None = None


def decide(host: Host, seen: Seen | None, now: datetime, *, let_go: bool) -> Decision:
    """The next step.

    Args:
        seen: the instance, or None where EC2 knows none.
        let_go: whether every holder lets the VM go (`hosts.changes.may_go`).
    """
    state = _state(host, seen)
    if _may_still_show(host, state, now):
        return Decision(Step.REST, look_at=now + POLL)
    if host.wanted == Power.ENDED:
        return _ending(host, state, now, let_go=let_go)
    if host.mend == Mend.REPLACE:
        return _replacing(host, state, now, let_go=let_go)
    if state in GONE - {Observed.ABSENT}:
        return Decision(Step.RENEW, "vanished" if state is Observed.VANISHED else "terminated")
    if host.wanted == Power.STOPPED or host.mend == Mend.RESTART:
        return _stopping(host, state, now, let_go=let_go)
    return _running(host, state, now)


def _state(host: Host, seen: Seen | None) -> Observed:
    if seen is not None:
        return seen.state
    return Observed.VANISHED if host.instance_id else Observed.ABSENT


def _may_still_show(host: Host, state: Observed, now: datetime) -> bool:
    """Whether an instance may exist that EC2 does not show yet. A VM that is wanted running is asked for again: safe by its token."""
    if host.asked_at is None or now - host.asked_at >= SHOWN_WITHIN:
        return False
    if state is Observed.VANISHED:
        return host.observed == Observed.PENDING
    unwanted = host.wanted != Power.RUNNING or host.mend == Mend.REPLACE
    return state is Observed.ABSENT and unwanted


def _ending(host: Host, state: Observed, now: datetime, *, let_go: bool) -> Decision:
    if state in GONE:
        return Decision(Step.CLOSE, host.wanted_cause)
    return _take_away(Step.END, state, now, let_go=let_go)


def _replacing(host: Host, state: Observed, now: datetime, *, let_go: bool) -> Decision:
    if state in GONE:
        return Decision(Step.RENEW, host.mend_cause)
    return _take_away(Step.END, state, now, let_go=let_go)


def _take_away(step: Step, state: Observed, now: datetime, *, let_go: bool) -> Decision:
    if state is Observed.ENDING:
        return Decision(Step.REST, look_at=now + POLL)
    if not let_go:
        return Decision(Step.HOLD, look_at=now + HOLD)
    return Decision(step, look_at=now + POLL)


def _stopping(host: Host, state: Observed, now: datetime, *, let_go: bool) -> Decision:
    if state is Observed.STOPPED and host.wanted == Power.RUNNING:
        return Decision(Step.START, look_at=now + POLL)
    if state in {Observed.STOPPED, Observed.ABSENT}:
        return Decision(Step.REST, look_at=host.unused_since + END_AFTER if host.unused_since else None)
    if state is Observed.STOPPING:
        if host.observed == Observed.STOPPING and now - host.observed_at > STOPPING_AT_MOST:
            return Decision(Step.FORCE_STOP, look_at=now + STOPPING_AT_MOST)
        return Decision(Step.REST, look_at=now + POLL)
    return _take_away(Step.STOP, state, now, let_go=let_go)


def _running(host: Host, state: Observed, now: datetime) -> Decision:
    if state is Observed.ABSENT:
        return Decision(Step.RUN, look_at=now + POLL)
    if state is Observed.STOPPED:
        return Decision(Step.START, look_at=now + POLL)
    if state is Observed.RUNNING:
        return _health(host, now)
    if (
        state is Observed.PENDING
        and host.observed == Observed.PENDING
        and now - host.observed_at > PENDING_AT_MOST
    ):
        return Decision(Step.REPLACE, "never_joined", now)
    return Decision(Step.REST, look_at=now + POLL)


def _health(host: Host, now: datetime) -> Decision:
    """Of a VM that runs: whether its daemon has joined, and is heard of. Silence itself is found by index, not by looking."""
    unused_until = host.unused_since + STOP_AFTER if host.unused_since else None
    if host.joined_at is None:
        joins_by = (host.running_since or now) + JOINS_WITHIN
        if now >= joins_by:
            return Decision(Step.REPLACE, "never_joined", now)
        return Decision(Step.REST, look_at=min(joins_by, unused_until or joins_by))
    if now - max(host.heard_at or host.joined_at, host.joined_at) > SILENT_AFTER:
        # Starting it again is tried once; a VM that falls silent again is replaced.
        step = Step.REPLACE if failures_in_a_row(host) else Step.RESTART
        return Decision(step, "silent", now)
    return Decision(Step.REST, look_at=unused_until)


def failures_in_a_row(host: Host) -> int:
    """How often the VM and those before it failed with no good one between."""
    good = host.joined_at and host.heard_at and host.heard_at - host.joined_at > GOOD_AFTER
    return 0 if good else host.failures
