"""What the operations on members share; each has entered the tenancy and asks the policy itself."""

from uuid import UUID

from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge.actor import Actor, Target
from envforge.errors import Conflict, NotVisible
from orgs import policy
from orgs.access import locked_organization
from orgs.directory import enlist
from orgs.models import Invitation, Membership, Person, RoleGrant
from orgs.roles import Role, Scope

LAST_OWNER = "The organization would be left without an owner. Make somebody else an owner first."


def join(*, actor: Actor, person: Person, role: Role) -> Membership:
    """Make the person a member with this role, or give it to the member they are."""
    membership, joined = enlist(person)
    _, granted = RoleGrant.objects.get_or_create(membership=membership, role=role, scope=Scope.ORGANIZATION)
    if joined:
        append(EventKind.MEMBER_JOINED, actor=actor, target=person, role=role)
    elif granted:
        scope = {"scope": Scope.ORGANIZATION, "scope_id": membership.org_id}
        append(EventKind.ROLE_GRANTED, actor=actor, target=person, role=role, **scope)
    return membership


def is_open(invitation: Invitation) -> bool:
    """Whether the invitation can still be accepted: whoever sent it is still one who may give its role (N2)."""
    if invitation.accepted_at is not None or invitation.ended_at is not None:
        return False
    if invitation.expires_at <= timezone.now():
        return False
    organization = Target("organization", str(invitation.org_id), "")
    sender = invitation.invited_by.as_actor()
    return invitation.role in policy.grantable(sender, organization)


def lock_member(person_id: UUID) -> Membership:
    """The membership, with the organization locked first, so that two removals at once cannot both be the last but one.

    Raises:
        NotVisible: no such member.
    """
    locked_organization()
    membership = Membership.objects.select_related("person").filter(person_id=person_id).first()
    if membership is None:
        raise NotVisible
    return membership


def require_an_owner(org_id: UUID) -> None:
    """Refuse what would leave the organization without an owner who is not suspended; the organization is locked.

    Raises:
        Conflict: there would be none.
    """
    owners = RoleGrant.objects.filter(
        scope=Scope.ORGANIZATION, scope_id=org_id, role=Role.OWNER, membership__suspended_at=None
    )
    if not owners.exclude(membership=None).exists():
        raise Conflict(LAST_OWNER)
