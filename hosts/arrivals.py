"""A VM whose daemon has proved who it is (H4 is checked by whoever calls this)."""

from datetime import datetime
from uuid import UUID

from hosts import records
from hosts.changes import Change, announce
from hosts.models import Host, Observed
from hosts.wants import STOP_AFTER


def note_joined(host: Host, *, boot_id: UUID, image: str, now: datetime) -> bool:
    """Write down that the daemon of a locked host of the present generation joined; answers whether it is a new start.

    It runs, whether or not EC2 was asked since. Joining again in the same start renews a token and is no news. Apps above
    are told READY inside the caller's transaction.
    """
    host.heard_at = now
    if host.boot_id == boot_id and host.joined_at is not None:
        host.save(update_fields=["heard_at"])
        return False
    host.image = image
    if host.observed == Observed.RUNNING and host.joined_at is not None:
        # It was started again from inside, or by itself: what ran there is gone.
        announce(host, Change.AWAY, cause="rebooted")
    records.set_observed(host, Observed.RUNNING, now)
    host.joined_at, host.boot_id, host.trouble = now, boot_id, host.mend_cause if host.mend else ""
    if not host.mend:
        host.due_at = host.unused_since + STOP_AFTER if host.unused_since else None
    host.version += 1
    host.save()
    announce(host, Change.READY)
    return True
