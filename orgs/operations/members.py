"""Members: joining, being suspended and restored, leaving."""

from dataclasses import dataclass
from uuid import UUID

from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import Actor
from envforge.errors import Invalid
from envforge.notify import Notice, ToPerson, notify
from orgs import policy
from orgs.access import locked_organization
from orgs.memberships import join, lock_member, require_an_owner
from orgs.models import Membership, Person
from orgs.offboarding import Closing, Held, close_everything
from orgs.policy import About, Action
from orgs.roles import IN_ORGANIZATION, MAY_GRANT, Role


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a removal or suspension closed; `event_id` is the event that keeps it, None where nothing was to be done."""

    name: str
    closed: dict[Held, int]
    event_id: UUID | None


def add_member(*, actor: Actor, org_id: UUID, person: Person, role: Role) -> Membership:
    """Make a person a member with one role; adding a member again gives them the role beside those they have.

    Raises:
        NotVisible, NotAllowed: see `policy.require_grantable`.
        Invalid: the role is not one of an organization.
    """
    with tenancy.enter(org_id):
        organization = locked_organization()
        policy.require_grantable(actor, Action.MEMBER_ADD, role, organization)
        if role not in IN_ORGANIZATION:
            raise Invalid("That role is not held in an organization.", {"role": "Choose one of the list."})
        return join(actor=actor, person=person, role=role)


def suspend_member(*, actor: Actor, org_id: UUID, person_id: UUID) -> Receipt:
    """Close everything to a member until they are restored; nothing is deleted. Again, it changes nothing.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
        Conflict: they are the last owner.
    """
    with tenancy.enter(org_id):
        membership = lock_member(person_id)
        _require_over(actor, Action.MEMBER_SUSPEND, membership)
        if membership.suspended_at is not None:
            return Receipt(membership.person.name, {}, None)
        membership.suspended_at = timezone.now()
        membership.save(update_fields=["suspended_at"])
        require_an_owner(org_id)
        closed = close_everything(Closing(actor, membership, for_good=False))
        event_id = append(EventKind.MEMBER_SUSPENDED, actor=actor, target=membership.person, **closed)
        return Receipt(membership.person.name, closed, event_id)


def restore_member(*, actor: Actor, org_id: UUID, person_id: UUID) -> None:
    """End a member's suspension: their roles count again; what was closed stays closed.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
    """
    with tenancy.enter(org_id):
        membership = lock_member(person_id)
        _require_over(actor, Action.MEMBER_SUSPEND, membership)
        if membership.suspended_at is not None:
            membership.suspended_at = None
            membership.save(update_fields=["suspended_at"])
            append(EventKind.MEMBER_RESTORED, actor=actor, target=membership.person)


def remove_member(*, actor: Actor, org_id: UUID, person_id: UUID) -> Receipt:
    """Remove a member, or leave: everything they hold here is closed, in this one action (I4).

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
        Conflict: they are the last owner.
    """
    with tenancy.enter(org_id):
        membership = lock_member(person_id)
        person = membership.person
        _require_over(actor, Action.MEMBER_REMOVE, membership)
        closed = close_everything(Closing(actor, membership, for_good=True))
        membership.grants.all().delete()
        require_an_owner(org_id)
        membership.delete()
        event_id = append(EventKind.MEMBER_REMOVED, actor=actor, target=person, **closed)
        if person.id not in actor.people:
            notify(Notice.MEMBER_REMOVED, to=ToPerson(person.id), remover=actor.label)
        return Receipt(person.name, closed, event_id)


def _require_over(actor: Actor, action: Action, membership: Membership) -> None:
    """The action itself, and over nobody whose roles the actor could not give (N2); one's own leaving is free."""
    about = About(belongs_to=membership.person_id)
    policy.require(actor, action, membership.person, about)
    if membership.person_id in actor.people:
        return
    for role in membership.grants.values_list("role", flat=True):
        if role in MAY_GRANT[Role.OWNER] - MAY_GRANT[Role.ADMIN]:
            policy.require_grantable(actor, action, Role(role), membership.person)
