"""The meter of a runtime: opened when it is awake, closed when it sleeps; the shell is outside of it (B1, B2).

Windows count in whole seconds of UTC. Each opening and closing is an event with all that the sums need, so that a month can be computed
anew from the audit alone (`workspaces.recompute`).
"""

from datetime import datetime, timedelta

from audit.append import append
from audit.kinds import EventKind
from envforge.actor import SYSTEM
from workspaces import caps
from workspaces.caps import CapReached, require_below_cap
from workspaces.models import MeterWindow, Runtime, Wake

__all__ = ["CapReached", "MeterMisused", "close_window", "open_window", "require_below_cap"]


class MeterMisused(RuntimeError):
    """A programming error: a wake has one window, and this one's is closed."""


def open_window(runtime: Runtime, wake: Wake, at: datetime) -> MeterWindow:
    """Start the meter of a locked runtime for this wake; asking again changes nothing.

    It begins no earlier than the runtime's last window ended. One that was left open by an earlier wake ends here.

    Raises:
        MeterMisused: the window of this wake is closed already.
    """
    last = MeterWindow.objects.filter(runtime=runtime).order_by("-epoch").first()
    if last is not None and last.epoch == wake.epoch:
        if last.closed_at is not None:
            raise MeterMisused(f"Wake {wake.epoch} of runtime {runtime.id} had its window; wake it anew.")
        return last
    begins = _whole(at)
    if last is not None:
        if last.closed_at is None:
            close_window(runtime, at=at, cause="replaced")
            last.refresh_from_db(fields=["closed_at"])
        begins = max(begins, last.closed_at or begins)
    window = MeterWindow.objects.create(
        runtime=runtime,
        workspace_id=runtime.workspace_id,
        epoch=wake.epoch,
        size=wake.size,
        cause=wake.cause,
        cap_mode=caps.strictest_mode(runtime.workspace_id),
        opened_at=begins,
    )
    append(
        EventKind.METER_OPENED,
        actor=SYSTEM,
        target=runtime,
        window_id=window.id,
        wake=window.epoch,
        cause=window.cause,
        size=window.size,
        cap=window.cap_mode,
        opened_at=window.opened_at,
    )
    caps.look_soon(runtime.workspace_id, begins)
    return window


def close_window(runtime: Runtime, *, at: datetime, cause: str, disputed_s: int = 0) -> MeterWindow | None:
    """Stop the meter of a locked runtime; None if it does not run.

    Args:
        at: when it ended; of a VM that is gone its last sign of life (H6). A window never ends before it began.
        cause: why, a `SleepCause`.
        disputed_s: how many of its last seconds the VM ran unheard of (H6): counted apart, and not charged.
    """
    window = MeterWindow.objects.filter(runtime=runtime, closed_at=None).first()
    if window is None:
        return None
    window.closed_at = max(_whole(at), window.opened_at)
    window.seconds = (window.closed_at - window.opened_at) // timedelta(seconds=1)
    window.disputed_s = min(max(disputed_s, 0), window.seconds)
    window.end_cause = str(cause)
    window.save(update_fields=["closed_at", "seconds", "disputed_s", "end_cause"])
    append(
        EventKind.METER_CLOSED,
        actor=SYSTEM,
        target=runtime,
        window_id=window.id,
        cause=window.end_cause,
        closed_at=window.closed_at,
        seconds=window.seconds,
        disputed_s=window.disputed_s,
    )
    return window


def _whole(at: datetime) -> datetime:
    """The second that the moment is in: cutting both ends keeps windows apart, and sums exact."""
    return at.replace(microsecond=0)
