"""Reading the audit. Which person may read what is asked by `timeline`, above; the public keys are everybody's."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from django.db import connection
from django.db.models import Count
from django.utils import timezone

from audit.filters import Filter
from audit.models import ChainHead, Checkpoint, Event, SigningKey
from envforge import tenancy


@dataclass(frozen=True, slots=True)
class ChainStatus:
    """How far the entered organization's chain is sealed and signed, and how many events wait."""

    sealed_seq: int
    signed_seq: int
    signed_at: datetime | None
    unsealed: int


def signing_keys() -> list[dict[str, str]]:
    """Every key that has signed a checkpoint, the oldest first: `key_id` and `pem`."""
    return [{"key_id": key.key_id, "pem": key.pem} for key in SigningKey.objects.order_by("first_used_at")]


def chain_status() -> ChainStatus:
    """The state of the entered organization's chain."""
    org_id = tenancy.current_org()
    head = ChainHead.objects.filter(org_id=org_id).first()
    waiting = Event.objects.filter(org_id=org_id, seq=None).aggregate(count=Count("id"))["count"]
    if head is None:
        return ChainStatus(0, 0, None, waiting)
    return ChainStatus(head.seq, head.signed_seq, head.signed_at, waiting)


PAGE_SIZE = 50
RECENT = 1_000
# Where a page is looked for first, back from its start: with a period named, PostgreSQL leaves other months' partitions alone.
NEAR = timedelta(days=31)
# How far an event's time may lie from the time in its id, which is taken a moment earlier.
SAME_MOMENT = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of events, the newest first; `older` is the place to continue from, None at the end."""

    events: list[Event]
    older: tuple[datetime, UUID] | None


def page(wanted: Filter, *, before: tuple[datetime, UUID] | None = None, size: int = PAGE_SIZE) -> Page:
    """The entered organization's events older than `before` (an event's time and id), sealed or not.

    Each page costs the same, however deep it lies.
    """
    condition, parameters = wanted.sql()
    start = min(wanted.until or timezone.now(), timezone.now())
    if before:
        # The pair alone would not tell PostgreSQL which partitions it can leave alone.
        condition, parameters = (
            f"{condition} AND at <= %s AND (at, id) < (%s, %s)",
            [*parameters, before[0], *before],
        )
        start = min(before[0], start)
    is_narrow = bool(wanted.given().keys() - {"since", "until"})
    events = _newest(f"{condition} AND at >= %s", [*parameters, start - NEAR], size + 1, is_narrow=is_narrow)
    if len(events) <= size:
        events += _newest(
            f"{condition} AND at < %s",
            [*parameters, start - NEAR],
            size + 1 - len(events),
            is_narrow=is_narrow,
        )
    more = len(events) > size
    events = events[:size]
    return Page(events, (events[-1].at, events[-1].id) if more else None)


def _newest(condition: str, parameters: list[Any], count: int, *, is_narrow: bool) -> list[Event]:
    """The newest events of the condition. The indexes for narrow filters hold sealed events only; the few others have their own."""
    parts = (" AND seq IS NOT NULL", " AND seq IS NULL") if is_narrow else ("",)
    queries = [
        f"(SELECT * FROM audit_event WHERE org_id = %s AND {condition}{part} ORDER BY at DESC, id DESC LIMIT %s)"  # noqa: S608 - constants
        for part in parts
    ]
    query = f"SELECT * FROM ({' UNION ALL '.join(queries)}) AS event ORDER BY at DESC, id DESC LIMIT %s"  # noqa: S608 - as above
    return list(
        Event.objects.raw(query, [*([tenancy.current_org(), *parameters, count] * len(parts)), count])
    )


def event(event_id: UUID) -> Event | None:
    """The entered organization's event with this id; the id (a UUIDv7) says when it was made, and so in which partition it lies."""
    try:
        made_at = datetime.fromtimestamp((event_id.int >> 80) / 1_000, UTC)
        near = (made_at - SAME_MOMENT, made_at + SAME_MOMENT)
    except (OverflowError, ValueError):
        return None
    return Event.objects.filter(org_id=tenancy.current_org(), at__range=near, id=event_id).first()


def count_after(wanted: Filter, *, after: tuple[datetime, UUID], at_most: int) -> int:
    """How many of the entered organization's events came after this one; counting ends at `at_most`."""
    condition, parameters = wanted.sql()
    query = (
        f"SELECT count(*) FROM (SELECT 1 FROM audit_event WHERE org_id = %s AND {condition} "  # noqa: S608 - constants
        # The pair alone would not tell PostgreSQL which partitions it can leave alone.
        "AND at >= %s AND (at, id) > (%s, %s) LIMIT %s) AS arrived"
    )
    with connection.cursor() as cursor:
        cursor.execute(query, [tenancy.current_org(), *parameters, after[0], *after, at_most])
        return int(cursor.fetchone()[0])


@dataclass(frozen=True, slots=True)
class Named:
    """Somebody or something that stands in events, by its latest label."""

    kind: str
    id: str
    label: str


def recently_named(part: Literal["actor", "target"]) -> list[Named]:
    """Who acted, or what was acted upon, in the entered organization's last `RECENT` events, by label."""
    query = (
        f"SELECT DISTINCT ON ({part}_id) {part}_kind, {part}_id, {part}_label FROM ("  # noqa: S608 - constants
        "  SELECT * FROM audit_event WHERE org_id = %s ORDER BY at DESC, id DESC LIMIT %s"
        f") AS recent ORDER BY {part}_id, at DESC, id DESC"
    )
    with connection.cursor() as cursor:
        cursor.execute(query, [tenancy.current_org(), RECENT])
        named = [Named(*row) for row in cursor.fetchall()]
    return sorted(named, key=lambda one: (one.label.casefold(), one.id))


def last_checkpoint() -> Checkpoint | None:
    """The entered organization's newest signed checkpoint."""
    return Checkpoint.objects.filter(org_id=tenancy.current_org()).order_by("-seq").first()
