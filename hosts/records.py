"""Writing down what became of a VM, in the transaction of whoever holds its locked row; events and announcements with it."""

from datetime import datetime, timedelta

from audit.append import append
from audit.kinds import EventKind
from envforge.actor import SYSTEM
from hosts.changes import Change, announce
from hosts.ec2 import Seen
from hosts.models import Host, Mend, Observed, Placement, Power
from hosts.queue import withdraw_all
from hosts.steps import failures_in_a_row
from hosts.wants import END_AFTER, leave, role_word

# After so many failures in a row the next try waits for the longest delay.
MOST_FAILURES = 5
FIRST_DELAY = timedelta(minutes=1)
LONGEST_DELAY = timedelta(hours=1)


def observe(host: Host, seen: Seen | None, now: datetime) -> None:
    """Take over what EC2 says; a VM that it does not know has vanished, if there was one."""
    if seen is None:
        state = Observed.VANISHED if host.instance_id else Observed.ABSENT
    else:
        state = seen.state
        host.instance_id = seen.instance_id
        host.zone, host.address = seen.zone, seen.address
        host.image = host.image or seen.image
    set_observed(host, state, now)


def set_observed(host: Host, state: Observed, now: datetime) -> None:
    """Note a state, if it is another than the last."""
    before = Observed(host.observed)
    if state is before:
        return
    host.observed, host.observed_at = state, now
    if before is Observed.RUNNING:
        _away(host)
    if state is Observed.RUNNING:
        host.running_since = now
        host.trouble = ""
        append(
            EventKind.HOST_STARTED,
            actor=SYSTEM,
            target=host,
            role=role_word(host),
            image=host.image or "unknown",
        )
    elif state is Observed.STOPPED:
        append(EventKind.HOST_STOPPED, actor=SYSTEM, target=host, role=role_word(host), cause=_why(host))


def _away(host: Host) -> None:
    host.running_since = None
    announce(host, Change.AWAY, cause=_why(host))
    host.joined_at = host.boot_id = host.missing_walls = None


def _why(host: Host) -> str:
    """Whether it was our will, and why."""
    if host.mend:
        return host.mend_cause
    return host.wanted_cause if host.wanted != Power.RUNNING else "outside"


def begin_mending(host: Host, mend: Mend, cause: str, now: datetime) -> None:
    """Begin to start a VM again, or to replace it; its failure is counted, however often it is noted."""
    if host.mend == mend:
        return
    host.failures = failures_in_a_row(host) + 1
    host.mend, host.mend_cause, host.trouble = mend, cause, cause
    running_at = now if host.observed == Observed.RUNNING else None
    announce(host, Change.LEAVING, cause=cause)
    if cause == "silent":
        announce(host, Change.SILENT, cause=cause, running_at=running_at)


def renew(host: Host, cause: str, now: datetime) -> None:
    """The next generation takes the host's place, and the place of those on it; after failures not at once (no endless spend)."""
    placements = list(Placement.objects.select_related("slot").filter(host=host, ended_at=None))
    leave(placements, now)
    host.generation += 1
    for placement in placements:
        Placement.objects.create(slot=placement.slot, host=host, generation=host.generation, began_at=now)
        append(
            EventKind.PLACEMENT_MADE,
            actor=SYSTEM,
            target=placement.slot,
            role=placement.slot.role,
            host_id=host.id,
        )
    append(
        EventKind.HOST_REPLACED,
        actor=SYSTEM,
        target=host,
        role=role_word(host),
        cause=cause,
        generation=host.generation,
    )
    host.observed, host.observed_at = Observed.ABSENT, now
    host.mend, host.mend_cause = Mend.NOTHING, ""
    host.instance_id = host.zone = host.image = ""
    host.address = None
    host.running_since = host.joined_at = host.heard_at = host.boot_id = host.asked_at = None
    host.missing_walls = None
    host.option = host.attempts = 0
    withdraw_all(host_id=host.id, word="host_replaced", sentence="The VM was replaced before this was done.")
    announce(host, Change.REPLACED, cause=cause)
    if host.wanted == Power.RUNNING:
        host.due_at = now + delay_after(host.failures)
        host.trouble = "gives_up" if host.failures >= MOST_FAILURES else ""
    else:
        host.due_at = host.unused_since + END_AFTER if host.unused_since else None
        host.trouble = ""


def delay_after(failures: int) -> timedelta:
    """How long the next generation waits: not at all after a good VM, an hour after many bad ones."""
    if failures <= 1:
        return timedelta(0)
    if failures >= MOST_FAILURES:
        return LONGEST_DELAY
    return min(FIRST_DELAY * (1 << (failures - 2)), LONGEST_DELAY)


def close(host: Host, cause: str, now: datetime) -> None:
    """The VM is gone and nobody wants it: it is history."""
    withdraw_all(host_id=host.id, word="host_ended", sentence="The VM was ended before this was done.")
    announce(host, Change.ENDED, cause=cause)
    leave(Placement.objects.select_related("slot").filter(host=host, ended_at=None), now)
    host.observed, host.observed_at, host.ended_at = Observed.ENDED, now, now
    host.mend, host.mend_cause, host.trouble = Mend.NOTHING, "", ""
    host.due_at = host.address = host.running_since = host.joined_at = host.unused_since = None
    append(EventKind.HOST_ENDED, actor=SYSTEM, target=host, role=role_word(host), cause=cause)
