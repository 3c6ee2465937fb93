"""A VM whose daemon works: it proved who it is (H4) and was heard of, whoever checked that."""

from datetime import datetime
from uuid import UUID

from django.utils import timezone

from hosts import queue, records
from hosts.changes import Change, announce
from hosts.models import Host, Mend, Observed, Power
from hosts.wants import STOP_AFTER


def note_joined(host: Host, *, boot_id: UUID, now: datetime) -> None:
    """Write down that the daemon of a locked host of the present generation joined in this start of the VM.

    It runs, whether or not EC2 was asked since. Joining again in the same start is no news.
    """
    if host.boot_id == boot_id and host.joined_at is not None:
        return
    if host.observed == Observed.RUNNING and host.joined_at is not None:
        # It was started again from inside: what ran there is gone.
        announce(host, Change.AWAY, cause="rebooted")
    records.set_observed(host, Observed.RUNNING, now)
    host.joined_at, host.boot_id, host.missing_walls = now, boot_id, None
    host.version += 1
    host.save()


def note_ready(host_id: UUID, generation: int) -> None:
    """Write down the first heartbeat of a start; in the host's entered organization. Apps above are told READY."""
    host = Host.objects.select_for_update().filter(id=host_id, generation=generation).first()
    if host is None or host.joined_at is None:
        return
    host.heard_at = timezone.now()
    if not host.mend:
        host.trouble = ""
        host.due_at = host.unused_since + STOP_AFTER if host.unused_since else None
    host.version += 1
    host.save()
    announce(host, Change.READY)
    # What lets in was held back until the VM told of its walls.
    queue.wake(host_id)


def note_unwalled(host_id: UUID, generation: int) -> None:
    """Let a VM that lacks walls it must have be replaced; no workspace runs on it meanwhile, whoever was placed there."""
    host = Host.objects.select_for_update().filter(id=host_id, generation=generation).first()
    if host is None or host.wanted != Power.RUNNING or host.mend == Mend.REPLACE:
        return
    now = timezone.now()
    records.begin_mending(host, Mend.REPLACE, "walls", now)
    host.due_at = now
    host.version += 1
    host.save()
