"""Members as rows of a list; whoever calls has entered the organization and asked the policy."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import F, Min, OuterRef, Q, QuerySet, Subquery

from orgs.directory import at_address, fold
from orgs.models import Membership, MemberWord, RoleGrant

PAGE_SIZE = 50
NEWEST = 10
MOST_TERMS = 4
MOST_COUNTED = 500


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
    """One page, and after whom the next begins; an `after` who left begins at the start.

    Without a search, everybody by name. With one, whoever has for each of its words a word of their name or address that
    begins so, in the order of the words they were found by. Either costs what is shown, not what there is.
    """
    terms = fold(search).split()[:MOST_TERMS]
    views = _views(_found(terms, after) if terms else _everybody(after))
    shown = views[:PAGE_SIZE]
    return shown, shown[-1].person_id if len(views) > PAGE_SIZE else None


def members_at(address: str) -> list[MemberView]:
    """The member with exactly this verified e-mail address, if there is one."""
    return _views(at_address(_rows(), address)[:PAGE_SIZE])


def _everybody(after: UUID | None) -> list[Membership]:
    rows = _rows().order_by("listed_as", "id")
    last = Membership.objects.filter(person_id=after).first() if after else None
    if last is not None:
        # The first condition alone is one that an index can begin at.
        rows = rows.filter(listed_as__gte=last.listed_as).filter(
            Q(listed_as__gt=last.listed_as) | Q(id__gt=last.id)
        )
    return list(rows[: PAGE_SIZE + 1])


def _found(terms: list[str], after: UUID | None) -> list[Membership]:
    """By the rarest term, and each member once, by the first of their words that fits."""
    first, *others = _rarest_first(terms)
    words = MemberWord.objects.filter(_begins(first))
    hits = words.alias(first=_of_the_same(first, "word")).filter(word=F("first"))
    for number, term in enumerate(others):
        also = f"also_{number}"
        hits = hits.alias(**{also: _of_the_same(term, "id")}).filter(**{f"{also}__isnull": False})
    if after:
        last = words.filter(membership__person_id=after).aggregate(word=Min("word"))["word"]
        member = Membership.objects.filter(person_id=after).first()
        if last is not None and member is not None:
            later = Q(listed_as__gt=member.listed_as) | Q(
                listed_as=member.listed_as, membership_id__gt=member.id
            )
            hits = hits.filter(word__gte=last).filter(Q(word__gt=last) | later)
    hits = hits.order_by("word", "listed_as", "membership_id")
    ids = list(hits.values_list("membership_id", flat=True)[: PAGE_SIZE + 1])
    rows = {row.id: row for row in _rows().filter(id__in=ids)}
    return [rows[one] for one in ids]


def _rarest_first(terms: list[str]) -> list[str]:
    """The terms, led by the one of the fewest words; beyond `MOST_COUNTED` all are many, and the last typed narrows the most."""
    if len(terms) == 1:
        return terms
    words = [MemberWord.objects.filter(_begins(term)).values("id")[:MOST_COUNTED] for term in terms]
    counts = [one.count() for one in words]
    lead = min(range(len(terms)), key=lambda at: (counts[at], -at))
    return [terms[lead], *(term for at, term in enumerate(terms) if at != lead)]


def _of_the_same(term: str, column: str) -> Subquery:
    """Of the same member the first word that begins so; asked row by row as the page fills, never of all who would fit."""
    words = MemberWord.objects.filter(_begins(term), membership=OuterRef("membership"))
    return Subquery(words.order_by("word").values(column)[:1])


def _begins(term: str) -> Q:
    return Q(word__gte=term, word__lt=term + "\U0010ffff")


def _rows() -> "QuerySet[Membership]":
    return Membership.objects.select_related("person")


def _views(rows: "Sequence[Membership] | QuerySet[Membership]") -> list[MemberView]:
    rows = list(rows)
    roles: dict[UUID | None, set[str]] = defaultdict(set)
    # Somebody may hold a role in each of a thousand workspaces: the database makes one of those.
    held = RoleGrant.objects.filter(membership__in=[row.id for row in rows]).order_by()
    for membership_id, role in held.values_list("membership_id", "role").distinct():
        roles[membership_id].add(role)
    return [
        MemberView(
            row.person.id,
            row.person.name,
            row.person.email if row.person.email_verified else "",
            tuple(sorted(roles[row.id])),
            row.suspended_at,
            row.joined_at,
        )
        for row in rows
    ]
