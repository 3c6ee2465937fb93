"""Sums of windows within a time: the same arithmetic for caps, days, months and receipts.

A window counts with the part that lies within; its disputed seconds are its last ones (H6). Whole seconds throughout, so that
the parts of a window add up to it exactly.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import Q

from envforge import tenancy
from workspaces.models import MeterWindow

_SECOND = timedelta(seconds=1)

# `charged_until`: an open window's disputed seconds are not known before it closes.
_CHARGED = """
SELECT coalesce(sum(greatest(0, extract(epoch FROM
           least(coalesce(closed_at - disputed_s * interval '1 second', %(now)s), %(ends)s) - greatest(opened_at, %(begins)s)
       ))), 0)::bigint,
       count(*) FILTER (WHERE closed_at IS NULL)
FROM workspaces_meterwindow
WHERE org_id = %(org)s AND opened_at < %(ends)s AND (closed_at IS NULL OR closed_at > %(begins)s)
  AND (%(workspace)s::uuid IS NULL OR workspace_id = %(workspace)s)
"""


@dataclass(frozen=True, slots=True)
class Charged:
    """Seconds to be charged, and how many of the windows that they come from are open."""

    seconds: int
    open: int


@dataclass(frozen=True, slots=True)
class Part:
    """What of a window lies within a time."""

    seconds: int
    disputed_s: int

    @property
    def charged_s(self) -> int:
        return self.seconds - self.disputed_s


def charged(begins: datetime, ends: datetime, *, now: datetime, workspace_id: UUID | None) -> Charged:
    """The charged seconds of the entered organization from `begins` up to `ends`, or those of one workspace; one query."""
    with connection.cursor() as cursor:
        cursor.execute(
            _CHARGED,
            {
                "begins": begins,
                "ends": ends,
                "now": now.replace(microsecond=0),
                "org": tenancy.current_org(),
                "workspace": workspace_id,
            },
        )
        seconds, still_open = cursor.fetchone()
    return Charged(seconds, still_open)


def within(begins: datetime, ends: datetime) -> Q:
    """Which windows have a part in a time."""
    return Q(opened_at__lt=ends) & (Q(closed_at=None) | Q(closed_at__gt=begins))


def part(window: MeterWindow, begins: datetime, ends: datetime, *, now: datetime) -> Part:
    """What of the window lies from `begins` up to `ends`; an open one reaches until now."""
    until = window.closed_at or max(now.replace(microsecond=0), window.opened_at)
    heard_until = until - window.disputed_s * _SECOND
    seconds = _overlap(window.opened_at, until, begins, ends)
    return Part(seconds, _overlap(heard_until, until, begins, ends))


def days(begins: datetime, ends: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The days (UTC) of a time that begins and ends with one."""
    day = begins
    while day < ends:
        following = day + timedelta(days=1)
        yield day, following
        day = following


def _overlap(a: datetime, b: datetime, begins: datetime, ends: datetime) -> int:
    return max(timedelta(0), min(b, ends) - max(a, begins)) // _SECOND
