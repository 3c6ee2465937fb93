"""Reads of members: the list, one of them, and what the reader may do about them."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from envforge.actor import Actor
from envforge.errors import NotVisible
from orgs import policy
from orgs.memberships import LAST_OWNER
from orgs.models import Invitation, Membership, Organization, RoleGrant
from orgs.policy import About, Action, Answer
from orgs.roles import IN_ORGANIZATION, Role, Scope
from orgs.selectors.listed import PAGE_SIZE, MemberView, at_address, page_of_members
from orgs.selectors.organizations import visible

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
    """One role of a member; whether the reader may take it."""

    role: str
    scope: str
    scope_id: UUID
    takable: bool


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
    may_give: tuple[Role, ...]
    give: Answer
    suspend: Answer
    remove: Answer


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
        row = (
            Membership.objects.select_related("person")
            .prefetch_related("grants")
            .filter(person_id=person_id)
            .first()
        )
        if row is None:
            raise NotVisible
        asked = (Action.ROLE_GRANT, Action.ROLE_REVOKE, Action.MEMBER_SUSPEND, Action.MEMBER_REMOVE)
        answers = policy.explain(actor, *asked, target=row.person, about=About(belongs_to=person_id))
        may_give = policy.grantable(actor, found)
        mine = person_id in actor.people
        roles = {grant.role for grant in row.grants.all() if grant.scope == Scope.ORGANIZATION}
        barrier = _barrier(row, roles, may_give, mine=mine)
        may_take = may_give if answers[Action.ROLE_REVOKE].allowed else frozenset[Role]()
        return Member(
            found,
            person_id,
            row.person.name,
            row.person.email if row.person.email_verified else "",
            row.joined_at,
            row.suspended_at,
            mine,
            [
                GrantView(one.role, one.scope, one.scope_id, one.role in may_take)
                for one in sorted(row.grants.all(), key=lambda one: (one.scope, one.role))
            ],
            _ordered((may_give & IN_ORGANIZATION) - {Role(role) for role in roles}),
            answers[Action.ROLE_GRANT],
            _first_refusal(answers[Action.MEMBER_SUSPEND], barrier),
            _first_refusal(answers[Action.MEMBER_REMOVE], barrier),
        )


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
