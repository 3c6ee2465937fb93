"""The meter computed anew from the audit alone, and compared with the windows that receipts are made of (B2).

It reads `meter.opened` and `meter.closed` of one organization and nothing else, has its own arithmetic, and knows neither the windows'
table nor their sums until both are there to be compared.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.utils import timezone

from audit.kinds import EventKind
from audit.models import Event
from envforge import tenancy
from workspaces import sums
from workspaces.models import MeterWindow
from workspaces.months import Month

Key = tuple[str, UUID, str]
"""A month, a workspace and a size."""


@dataclass(frozen=True, slots=True)
class Told:
    """A window as the audit tells of it; `until` is None while the audit knows of no end."""

    workspace_id: UUID | None
    size: str
    since: datetime
    until: datetime | None
    disputed_s: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """How much was compared, and a sentence for everything that differs."""

    windows: int
    seconds: int
    differences: list[str]


def compare(org_id: UUID) -> Comparison:
    """Compare one organization's meter with its audit, to the second, until now."""
    with tenancy.enter(org_id):
        now = timezone.now().replace(microsecond=0)
        told, differences = _told()
        differences += _overlapping(told)
        differences += _windows(told)
        audited = _months(told, now)
        differences += _sums(audited, now)
        return Comparison(len(told), sum(seconds for seconds, _ in audited.values()), differences)


def _told() -> tuple[dict[UUID, Told], list[str]]:
    """Every window that the audit tells of, and what it tells that cannot be."""
    opened, closed = EventKind.METER_OPENED.wire_name, EventKind.METER_CLOSED.wire_name
    told: dict[UUID, Told] = {}
    wrong = []
    events = Event.objects.filter(kind__in=(opened, closed)).order_by("at", "id")
    rows = events.values_list("kind", "workspace_id", "facts")
    # An opening and its closing may have been told at one moment: what began is read first.
    closings = []
    for kind, workspace_id, facts in rows.iterator(chunk_size=5000):
        window = UUID(facts["window_id"])
        if kind == closed:
            closings.append((window, facts))
        elif window in told:
            wrong.append(f"The audit tells twice that the window {window} was opened.")
        else:
            told[window] = Told(workspace_id, facts["size"], _moment(facts["opened_at"]), None, 0)
    for window, facts in closings:
        begun = told.get(window)
        if begun is None or begun.until is not None:
            wrong.append(f"The audit tells that the window {window} was closed, which was not open.")
            continue
        until = _moment(facts["closed_at"])
        if until < begun.since or (until - begun.since) != timedelta(seconds=facts["seconds"]):
            wrong.append(
                f"The audit tells of {facts['seconds']} s in the window {window}, and its times say otherwise."
            )
        told[window] = Told(begun.workspace_id, begun.size, begun.since, until, facts["disputed_s"])
    return told, wrong


def _overlapping(told: dict[UUID, Told]) -> Iterator[str]:
    last: dict[UUID | None, Told] = {}
    for one in sorted(
        told.values(), key=lambda one: (one.since, one.until or datetime.max.replace(tzinfo=UTC))
    ):
        before = last.get(one.workspace_id)
        if before is not None and (before.until is None or one.since < before.until):
            yield f"Two windows of the workspace {one.workspace_id} overlap at {one.since:%Y-%m-%d %H:%M:%S} UTC."
        last[one.workspace_id] = one


def _windows(told: dict[UUID, Told]) -> Iterator[str]:
    """What differs window by window."""
    seen = set()
    for row in MeterWindow.objects.order_by("opened_at").iterator(chunk_size=5000):
        seen.add(row.id)
        one = told.get(row.id)
        if one is None:
            yield f"The window {row.id} (from {row.opened_at:%Y-%m-%d %H:%M:%S} UTC) is not in the audit."
            continue
        stored = Told(row.workspace_id, row.size, row.opened_at, row.closed_at, row.disputed_s)
        if stored != one:
            yield f"The window {row.id} is {_words(stored)}; the audit says {_words(one)}."
    for window in told.keys() - seen:
        yield f"The audit tells of the window {window} ({_words(told[window])}), which is not there."


def _sums(audited: dict[Key, tuple[int, int]], now: datetime) -> Iterator[str]:
    """What differs in the sums that people see."""
    months = sorted({month for month, _, _ in audited})
    stored: dict[Key, tuple[int, int]] = {}
    for name in months:
        month = Month.named(name)
        for row in sums.by_workspace(month.begins, month.ends, now=now):
            stored[name, row.workspace_id, row.size] = (row.part.seconds, row.part.disputed_s)
    for key in sorted(audited.keys() | stored.keys()):
        ours, theirs = stored.get(key, (0, 0)), audited.get(key, (0, 0))
        if ours != theirs:
            month_name, workspace, size = key
            yield (
                f"{month_name}, workspace {workspace}, {size}: the meter has {ours[0]} s ({ours[1]} s disputed), "
                f"the audit {theirs[0]} s ({theirs[1]} s disputed)."
            )


def _months(told: dict[UUID, Told], now: datetime) -> dict[Key, tuple[int, int]]:
    """Seconds and disputed seconds by month, workspace and size, cut at midnight UTC of each first day."""
    seconds: Counter[Key] = Counter()
    disputed: Counter[Key] = Counter()
    for one in told.values():
        if one.workspace_id is None:
            continue
        until = one.until or max(now, one.since)
        unheard = max(until - timedelta(seconds=one.disputed_s), one.since)
        for counter, since in ((seconds, one.since), (disputed, unheard)):
            begins = since
            while begins < until:
                border = (begins.replace(day=1, hour=0, minute=0, second=0) + timedelta(days=31)).replace(
                    day=1
                )
                part = min(until, border) - begins
                counter[f"{begins:%Y-%m}", one.workspace_id, one.size] += part // timedelta(seconds=1)
                begins = border
    return {key: (seconds[key], disputed[key]) for key in seconds}


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _words(one: Told) -> str:
    ends = f"{one.until:%Y-%m-%d %H:%M:%S}" if one.until else "open"
    return f"{one.size}, {one.since:%Y-%m-%d %H:%M:%S} to {ends}, {one.disputed_s} s disputed"
