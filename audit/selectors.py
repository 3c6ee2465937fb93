"""Reading the audit. Which person may read what is asked by `timeline`, above; the public keys are everybody's."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count

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
    if before:
        condition, parameters = f"{condition} AND (at, id) < (%s, %s)", [*parameters, *before]
    query = f"SELECT * FROM audit_event WHERE org_id = %s AND {condition} ORDER BY at DESC, id DESC LIMIT %s"  # noqa: S608 - constants
    events = list(Event.objects.raw(query, [tenancy.current_org(), *parameters, size + 1]))
    more = len(events) > size
    events = events[:size]
    return Page(events, (events[-1].at, events[-1].id) if more else None)


def last_checkpoint() -> Checkpoint | None:
    """The entered organization's newest signed checkpoint."""
    return Checkpoint.objects.filter(org_id=tenancy.current_org()).order_by("-seq").first()
