"""Caps of awake hours, read before a wake (W8, B3): how much of them is used, and when somebody should look at them again."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from envforge.errors import Conflict
from workspaces import sums
from workspaces.models import Cap, CapMode, Runtime
from workspaces.months import Month

HOUR_S = 3600
WARNED_AT_PERCENT = 80

_STRICTER = (CapMode.NONE, CapMode.WARN, CapMode.STOP)


class CapReached(Conflict):
    """A cap of mode "stop" is used up; nothing wakes under it until the month ends or somebody raises it."""

    title = "The usage cap is reached"


@dataclass(frozen=True, slots=True)
class Standing:
    """A cap and what of it is used in a month: charged seconds, those of windows still open included, and how many those are."""

    cap: Cap
    month: Month
    used_s: int
    awake: int

    @property
    def limit_s(self) -> int:
        return (self.cap.hours or 0) * HOUR_S

    @property
    def reached(self) -> bool:
        return self.cap.mode != CapMode.NONE and self.used_s >= self.limit_s

    @property
    def warned_at_s(self) -> int:
        return self.limit_s * WARNED_AT_PERCENT // 100

    @property
    def neared(self) -> bool:
        return self.cap.mode != CapMode.NONE and self.used_s >= self.warned_at_s

    @property
    def percent(self) -> int:
        return self.used_s * 100 // self.limit_s if self.limit_s else 0


def require_below_cap(runtime: Runtime) -> None:
    """Let a runtime wake, or be kept awake, only while no cap of mode "stop" that counts it is reached.

    Raises:
        CapReached: one is; it names its hours, scope and period, and what to do.
    """
    stopping = [cap for cap in counting(runtime.workspace_id) if cap.mode == CapMode.STOP]
    now = timezone.now()
    for cap in stopping:
        now_is = standing(cap, now)
        if now_is.reached:
            raise CapReached(_refusal(now_is, runtime))


def stopped(workspace_id: UUID, now: datetime) -> bool:
    """Whether a cap of mode "stop" that counts this workspace is reached."""
    return any(standing(cap, now).reached for cap in counting(workspace_id) if cap.mode == CapMode.STOP)


def standing(cap: Cap, now: datetime) -> Standing:
    """How a cap stands in the present month; one query."""
    month = Month.of(now)
    used = sums.charged(month.begins, month.ends, now=now, workspace_id=cap.workspace_id)
    return Standing(cap, month, used.seconds, used.open)


def counting(workspace_id: UUID) -> list[Cap]:
    """The caps that count a workspace's hours, the organization's first."""
    return list(Cap.objects.filter(_of(workspace_id)).order_by("-workspace_id"))


def strictest_mode(workspace_id: UUID) -> CapMode:
    modes = [CapMode(cap.mode) for cap in counting(workspace_id)]
    return max(modes, key=_STRICTER.index, default=CapMode.NONE)


def look_soon(workspace_id: UUID, at: datetime) -> None:
    """A runtime woke: have a sweep see when the caps that count it will be reached."""
    Cap.objects.filter(_of(workspace_id)).exclude(mode=CapMode.NONE).update(due_at=at)


def _of(workspace_id: UUID) -> Q:
    return Q(workspace_id=workspace_id) | Q(workspace_id=None)


def _refusal(now_is: Standing, runtime: Runtime) -> str:
    cap = now_is.cap
    whose = "this organization" if cap.workspace_id is None else f"the workspace “{runtime.workspace.name}”"
    return (
        f"The usage cap of {whose} is {cap.hours} awake hours in a calendar month (UTC), and {now_is.month.first:%B %Y} has used them. "
        f"It can wake again on {now_is.month.ends:%-d %B}, or once somebody with the role owner, admin or billing raises the cap "
        "on the Usage page."
    )
