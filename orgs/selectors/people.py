"""Reads of members: the list, one of them, and what the reader may do about them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from audit.filters import Filter
from audit.kinds import EventKind
from audit.selectors import page
from envforge.actor import Actor, Target
from envforge.errors import NotVisible
from orgs import policy
from orgs.directory import at_address
from orgs.member_parts import MemberLine, lines
from orgs.memberships import LAST_OWNER
from orgs.models import Invitation, Membership, Organization, RoleGrant
from orgs.offboarding import Closing, Held, count_everything
from orgs.places import Place, names_of, offered_places
from orgs.policy import About, Action, Answer
from orgs.roles import IN_ORGANIZATION, ROLES_OF, Role, Scope
from orgs.selectors.listed import PAGE_SIZE, MemberView, page_of_members
from orgs.selectors.organizations import visible

MOST_GRANTS = 100
SAME_MOMENT = timedelta(minutes=1)
ABOUT_A_MEMBER = (
    *(Action.ROLE_GRANT, Action.ROLE_REVOKE, Action.MEMBER_SUSPEND, Action.MEMBER_REMOVE),
    Action.AUDIT_READ,
)
ABOVE = Answer(
    allowed=False, rule="role-above-own", why="They are an owner, and only another owner may do that."
)
LAST = Answer(allowed=False, rule="last-owner", why=LAST_OWNER)


@dataclass(frozen=True, slots=True)
class OpenInvitation:
    """An invitation nobody has used yet."""

    id: UUID
    email: str
    role: str
    invited_by: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Members:
    """A page of an organization's members; its open invitations only for those who may invite."""

    organization: Organization
    total: int
    members: list[MemberView]
    next_after: UUID | None
    invite: Answer
    may_give: tuple[Role, ...]
    invitations: list[OpenInvitation]
    more_invitations: bool


@dataclass(frozen=True, slots=True)
class GrantView:
    """One role of a member, the place's name where it is held in one that is still there; whether the reader may take it."""

    role: str
    scope: str
    scope_id: UUID
    place: str
    takable: bool


@dataclass(frozen=True, slots=True)
class PlaceOffer:
    """A project or workspace where the reader may give the member roles."""

    place: Place
    may_give: tuple[Role, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """One member, and what the reader may do about them."""

    organization: Organization
    person_id: UUID
    name: str
    email: str
    joined_at: datetime
    suspended_at: datetime | None
    own: bool
    grants: list[GrantView]
    more_grants: bool
    may_give: tuple[Role, ...]
    places: list[PlaceOffer]
    give: Answer
    suspend: Answer
    remove: Answer
    history: Answer
    suspension: UUID | None
    lines: list[MemberLine]


@dataclass(frozen=True, slots=True)
class Leaving:
    """A member who may be suspended or removed, and how much of what they hold would be closed with that."""

    member: Member
    would_close: dict[Held, int]

    @property
    def organization(self) -> Organization:
        return self.member.organization


def members(*, actor: Actor, slug: str, search: str = "", after: UUID | None = None) -> Members:
    """One page of the members by name; the same number of queries whatever the size.

    Raises:
        NotVisible: as `organization`.
    """
    with visible(actor, slug, Action.MEMBER_INVITE) as (found, answers):
        invite = answers[Action.MEMBER_INVITE]
        shown, next_after = page_of_members(search=search, after=after)
        may_give = policy.grantable(actor, found)
        waiting = _open_invitations() if invite.allowed else []
        return Members(
            found,
            Membership.objects.count(),
            shown,
            next_after,
            invite,
            _ordered(may_give & IN_ORGANIZATION),
            waiting[:PAGE_SIZE],
            len(waiting) > PAGE_SIZE,
        )


def member(*, actor: Actor, slug: str, person_id: UUID) -> Member:
    """One member, with what the reader may do about them and why not the rest.

    Raises:
        NotVisible: as `organization`, or there is no such member.
    """
    with visible(actor, slug) as (found, _):
        return _member(actor, found, _row(person_id))


def leaving(*, actor: Actor, slug: str, person_id: UUID, for_good: bool) -> Leaving:
    """One member, with what a suspension (or removal, `for_good`) would close; nothing is counted for who may do neither.

    Raises:
        NotVisible: as `member`.
    """
    with visible(actor, slug) as (found, _):
        row = _row(person_id)
        seen = _member(actor, found, row)
        may = (seen.remove if for_good else seen.suspend).allowed
        return Leaving(seen, count_everything(Closing(actor, row, for_good=for_good)) if may else {})


def _row(person_id: UUID) -> Membership:
    row = Membership.objects.select_related("person").filter(person_id=person_id).first()
    if row is None:
        raise NotVisible
    return row


def _member(actor: Actor, found: Organization, row: Membership) -> Member:
    person_id = row.person_id
    answers = policy.explain(actor, *ABOUT_A_MEMBER, target=row.person, about=About(belongs_to=person_id))
    may_give = policy.grantable(actor, found)
    mine = person_id in actor.people
    grants = list(row.grants.order_by("scope", "role", "scope_id")[: MOST_GRANTS + 1])
    roles = {grant.role for grant in grants if grant.scope == Scope.ORGANIZATION}
    barrier = _barrier(row, roles, may_give, mine=mine)
    history = answers[Action.AUDIT_READ]
    return Member(
        found,
        person_id,
        row.person.name,
        row.person.email if row.person.email_verified else "",
        row.joined_at,
        row.suspended_at,
        mine,
        _grant_views(actor, grants[:MOST_GRANTS]),
        len(grants) > MOST_GRANTS,
        _ordered((may_give & IN_ORGANIZATION) - {Role(role) for role in roles}),
        _place_offers(actor),
        answers[Action.ROLE_GRANT],
        _first_refusal(answers[Action.MEMBER_SUSPEND], barrier),
        _first_refusal(answers[Action.MEMBER_REMOVE], barrier),
        history,
        _suspension(row) if history.allowed and row.suspended_at else None,
        lines(actor, row),
    )


def _grant_views(actor: Actor, grants: list[RoleGrant]) -> list[GrantView]:
    names = names_of((Scope(one.scope), one.scope_id) for one in grants if one.scope != Scope.ORGANIZATION)
    reach = policy.grantable_at(actor, [_where(one, names.get(one.scope_id, one.scope)) for one in grants])
    return [
        GrantView(one.role, one.scope, one.scope_id, names.get(one.scope_id, ""), one.role in may_take)
        for one, may_take in zip(grants, reach, strict=True)
    ]


def _where(grant: RoleGrant, name: str) -> Target:
    if grant.scope == Scope.ORGANIZATION:
        return Target("organization", str(grant.org_id), name)
    return Place(Scope(grant.scope), grant.scope_id, name).as_target()


def _place_offers(actor: Actor) -> list[PlaceOffer]:
    places = offered_places(actor)
    reach = policy.grantable_at(actor, [place.as_target() for place in places])
    offers = [
        PlaceOffer(place, _ordered(may_give & ROLES_OF[place.scope]))
        for place, may_give in zip(places, reach, strict=True)
    ]
    return [offer for offer in offers if offer.may_give]


def _suspension(row: Membership) -> UUID | None:
    """The event that keeps the receipt of the suspension; it was written in the transaction that suspended."""
    at = row.suspended_at or timezone.now()
    wanted = Filter(
        kind=EventKind.MEMBER_SUSPENDED.wire_name,
        target_id=str(row.person_id),
        since=at - SAME_MOMENT,
        until=at + SAME_MOMENT,
    )
    events = page(wanted, size=1).events
    return events[0].id if events else None


def member_by_email(*, actor: Actor, slug: str, email: str) -> UUID | None:
    """The member with this verified address.

    Raises:
        NotVisible: as `organization`.
    """
    with visible(actor, slug):
        rows = at_address(Membership.objects.filter(suspended_at=None), email)
        return rows.order_by("joined_at").values_list("person_id", flat=True).first()


def _barrier(row: Membership, roles: set[str], may_give: frozenset[Role], *, mine: bool) -> Answer | None:
    """What the operations refuse besides the policy's table: acts over an owner, and over the last one."""
    if Role.OWNER not in roles:
        return None
    if not mine and Role.OWNER not in may_give:
        return ABOVE
    others = RoleGrant.objects.filter(
        scope=Scope.ORGANIZATION, role=Role.OWNER, membership__suspended_at=None
    ).exclude(membership=None)
    return None if others.exclude(membership=row).exists() else LAST


def _first_refusal(answer: Answer, barrier: Answer | None) -> Answer:
    return barrier if answer.allowed and barrier else answer


def _ordered(roles: frozenset[Role]) -> tuple[Role, ...]:
    return tuple(role for role in Role if role in roles)


def _open_invitations() -> list[OpenInvitation]:
    rows = (
        Invitation.objects.select_related("invited_by")
        .filter(accepted_at=None, ended_at=None, expires_at__gt=timezone.now())
        .order_by("expires_at", "id")[: PAGE_SIZE + 1]
    )
    return [OpenInvitation(row.id, row.email, row.role, row.invited_by.name, row.expires_at) for row in rows]
