"""Members as rows of a list; whoever calls has entered the organization and asked the policy."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet

from orgs.models import Membership

PAGE_SIZE = 50
NEWEST = 10


@dataclass(frozen=True, slots=True)
class MemberView:
    """A member as other members see them; an e-mail address only if it is verified."""

    person_id: UUID
    name: str
    email: str
    roles: tuple[str, ...]
    suspended_at: datetime | None
    joined_at: datetime


def newest_members() -> tuple[int, list[MemberView]]:
    """How many members there are, and the last to join."""
    return Membership.objects.count(), _views(_rows().order_by("-joined_at", "-id")[:NEWEST])


def page_of_members(*, search: str, after: UUID | None) -> tuple[list[MemberView], UUID | None]:
    """One page by name, and after whom the next begins; an `after` who left begins at the start."""
    rows = _rows()
    if search:
        by_address = Q(person__email_verified=True, person__email__icontains=search)
        rows = rows.filter(Q(person__name__icontains=search) | by_address)
    last = (
        Membership.objects.filter(person_id=after).values_list("person__name", flat=True).first()
        if after
        else None
    )
    if after and last is not None:
        rows = rows.filter(Q(person__name__gt=last) | Q(person__name=last, person_id__gt=after))
    views = _views(rows.order_by("person__name", "person_id")[: PAGE_SIZE + 1])
    shown = views[:PAGE_SIZE]
    return shown, shown[-1].person_id if len(views) > PAGE_SIZE else None


def members_at(address: str) -> list[MemberView]:
    """The member with exactly this verified e-mail address, if there is one."""
    return _views(_rows().filter(person__email_verified=True, person__email__iexact=address))


def _rows() -> QuerySet[Membership]:
    return Membership.objects.select_related("person").prefetch_related("grants")


def _views(rows: Iterable[Membership]) -> list[MemberView]:
    return [
        MemberView(
            row.person.id,
            row.person.name,
            row.person.email if row.person.email_verified else "",
            tuple(sorted({grant.role for grant in row.grants.all()})),
            row.suspended_at,
            row.joined_at,
        )
        for row in rows
    ]
