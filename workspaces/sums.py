"""Sums of windows within a time: the same arithmetic for caps, days, months and receipts.

A window counts with the part that lies within; one that is open counts until now, and its disputed seconds are its last ones (H6). Whole
seconds throughout, so that the parts of a window add up to it exactly. Callers have entered the organization and asked policy.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q

from envforge import tenancy
from orgs.policy import Reach
from workspaces.models import MeterWindow

_SECOND = timedelta(seconds=1)
EVERYWHERE = Reach(everywhere=True)

_FOUND = """
workspaces_meterwindow WHERE org_id = %(org)s AND opened_at < %(ends)s AND (closed_at IS NULL OR closed_at > %(begins)s)
  AND (%(everywhere)s OR workspace_id IN (
        SELECT id FROM workspaces_workspace WHERE org_id = %(org)s AND (project_id = ANY(%(projects)s) OR id = ANY(%(workspaces)s))))
"""
# A row for each day (UTC) that a window has a part in.
_PARTS = f"""
SELECT w.id, w.workspace_id, w.size, d.day, d.day <= greatest(w.opened_at, %(begins)s) AS first, width_bucket(d.day, %(periods)s::timestamptz[]) AS period,
       extract(epoch FROM least(w.until, d.ends) - greatest(w.opened_at, d.day))::bigint AS seconds,
       greatest(0, extract(epoch FROM least(w.until, d.ends) - greatest(w.heard_until, w.opened_at, d.day)))::bigint AS disputed_s
FROM (SELECT id, workspace_id, size, opened_at, coalesce(closed_at, greatest(%(now)s, opened_at)) AS until,
             coalesce(closed_at, greatest(%(now)s, opened_at)) - disputed_s * interval '1 second' AS heard_until
      FROM {_FOUND}) w
CROSS JOIN LATERAL (
    SELECT day, day + interval '1 day' AS ends FROM generate_series(
        date_trunc('day', greatest(w.opened_at, %(begins)s), 'UTC'),
        least(w.until, %(ends)s) - interval '1 microsecond', interval '1 day') AS day) d
"""  # noqa: S608 - text of ours
_BY_DAY = f"""
SELECT day, size, sum(seconds)::bigint, sum(disputed_s)::bigint, count(DISTINCT id) FROM ({_PARTS}) parts GROUP BY day, size
"""  # noqa: S608 - text of ours
_BY_WORKSPACE = f"""
SELECT workspace_id, size, period, sum(seconds)::bigint, sum(disputed_s)::bigint, count(*) FILTER (WHERE first)
FROM ({_PARTS}) parts GROUP BY workspace_id, size, period
"""  # noqa: S608 - text of ours
_CHARGED = f"""
SELECT workspace_id, sum(greatest(0, extract(epoch FROM
           least(coalesce(closed_at - disputed_s * interval '1 second', %(now)s), %(ends)s) - greatest(opened_at, %(begins)s)
       )))::bigint, count(*) FILTER (WHERE closed_at IS NULL)
FROM {_FOUND} GROUP BY workspace_id
"""  # noqa: S608 - text of ours


@dataclass(frozen=True, slots=True)
class Charged:
    """Seconds to be charged, and how many of the windows that they come from are open."""

    seconds: int = 0
    open: int = 0

    def __add__(self, other: "Charged") -> "Charged":
        return Charged(self.seconds + other.seconds, self.open + other.open)


@dataclass(frozen=True, slots=True)
class Part:
    """What of windows lies within a time: seconds awake, of which so many are disputed."""

    seconds: int = 0
    disputed_s: int = 0

    @property
    def charged_s(self) -> int:
        return self.seconds - self.disputed_s

    def __add__(self, other: "Part") -> "Part":
        return Part(self.seconds + other.seconds, self.disputed_s + other.disputed_s)


@dataclass(frozen=True, slots=True)
class DaySum:
    """A day (UTC) at one size; `windows` have a part in it."""

    day: date
    size: str
    part: Part
    windows: int


@dataclass(frozen=True, slots=True)
class WorkspaceSum:
    """A workspace at one size, in a period of prices; each of its `windows` counts in the period that it began in."""

    workspace_id: UUID
    size: str
    period: int
    part: Part
    windows: int


def charged(begins: datetime, ends: datetime, *, now: datetime, workspace_id: UUID | None) -> Charged:
    """The charged seconds of the entered organization from `begins` up to `ends`, or those of one workspace; one query."""
    where = EVERYWHERE if workspace_id is None else Reach(False, workspace_ids=frozenset({workspace_id}))
    return sum(charged_by_workspace(begins, ends, now=now, where=where).values(), Charged())


def charged_by_workspace(
    begins: datetime, ends: datetime, *, now: datetime, where: Reach = EVERYWHERE
) -> dict[UUID, Charged]:
    """The same of each workspace that was awake; one query."""
    return {row[0]: Charged(row[1], row[2]) for row in _rows(_CHARGED, begins, ends, now, where)}


def by_day(begins: datetime, ends: datetime, *, now: datetime, where: Reach = EVERYWHERE) -> list[DaySum]:
    """Of each day and size; one query."""
    return [
        DaySum(day.date(), size, Part(seconds, disputed_s), windows)
        for day, size, seconds, disputed_s, windows in _rows(_BY_DAY, begins, ends, now, where)
    ]


def by_workspace(
    begins: datetime,
    ends: datetime,
    *,
    now: datetime,
    where: Reach = EVERYWHERE,
    periods: Collection[datetime] = (),
) -> list[WorkspaceSum]:
    """Of each workspace, size and period; period 0 is before the first of `periods`, which are sorted. One query."""
    return [
        WorkspaceSum(workspace_id, size, period, Part(seconds, disputed_s), windows)
        for workspace_id, size, period, seconds, disputed_s, windows in _rows(
            _BY_WORKSPACE, begins, ends, now, where, periods
        )
    ]


def within(begins: datetime, ends: datetime) -> Q:
    """Which windows have a part in a time."""
    return Q(opened_at__lt=ends) & (Q(closed_at=None) | Q(closed_at__gt=begins))


def part(window: MeterWindow, begins: datetime, ends: datetime, *, now: datetime) -> Part:
    """What of one window lies from `begins` up to `ends`."""
    until = window.closed_at or max(now.replace(microsecond=0), window.opened_at)
    heard_until = until - window.disputed_s * _SECOND
    return Part(
        _overlap(window.opened_at, until, begins, ends),
        _overlap(max(heard_until, window.opened_at), until, begins, ends),
    )


def _rows(
    query: str,
    begins: datetime,
    ends: datetime,
    now: datetime,
    where: Reach,
    periods: Collection[datetime] = (),
) -> Iterator[tuple[Any, ...]]:
    asked: Mapping[str, Any] = {
        "org": tenancy.current_org(),
        "begins": begins,
        "ends": ends,
        "now": now.replace(microsecond=0),
        "everywhere": where.everywhere,
        "projects": list(where.project_ids),
        "workspaces": list(where.workspace_ids),
        "periods": list(periods),
    }
    with connection.cursor() as cursor:
        cursor.execute(query, asked)
        yield from cursor.fetchall()


def _overlap(a: datetime, b: datetime, begins: datetime, ends: datetime) -> int:
    return max(timedelta(0), min(b, ends) - max(a, begins)) // _SECOND
