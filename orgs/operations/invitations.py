"""Inviting people: once, until a time, bound to their verified e-mail address (N2)."""

from datetime import timedelta
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import SYSTEM, Actor
from envforge.errors import Conflict, Invalid, NotVisible
from envforge.notify import LinkTo, Notice, ToAddress, notify
from orgs import policy
from orgs.access import locked_organization
from orgs.directory import at_address
from orgs.holdings import end_invitation
from orgs.lookups import organization_of_invitation
from orgs.memberships import is_open, join
from orgs.models import Invitation, Membership, Organization, Person
from orgs.policy import Action
from orgs.roles import IN_ORGANIZATION, Role

LIFETIME = timedelta(days=7)
WRONG_ADDRESS = (
    "This invitation is for another e-mail address, or yours is not verified. "
    "Sign in with the address that the invitation was sent to, or ask for a new one."
)


def invite_member(*, actor: Actor, org_id: UUID, inviter: Person, email: str, role: Role) -> Invitation:
    """Ask somebody to become a member.

    Raises:
        NotVisible, NotAllowed: see `policy.require_grantable`.
        Invalid: the address or the role cannot be used.
        Conflict: they are a member, or an invitation is open.
    """
    with tenancy.enter(org_id):
        organization = locked_organization()
        policy.require_grantable(actor, Action.MEMBER_INVITE, role, organization)
        email = _address(email)
        if role not in IN_ORGANIZATION:
            raise Invalid("That role is not held in an organization.", {"role": "Choose one of the list."})
        if at_address(Membership.objects.all(), email).exists():
            raise Conflict(f"{email} is a member already.")
        _close_overdue(email)
        if Invitation.objects.filter(email=email, accepted_at=None, ended_at=None).exists():
            raise Conflict(f"An invitation to {email} is open already; take it back to send another.")
        invitation = Invitation.objects.create(
            email=email, role=role, invited_by=inviter, expires_at=timezone.now() + LIFETIME
        )
        append(
            EventKind.MEMBER_INVITED,
            actor=actor,
            target=invitation,
            role=role,
            expires_at=invitation.expires_at,
        )
        notify(
            Notice.INVITATION,
            to=ToAddress(email),
            link=LinkTo("invitation", invitation.id),
            inviter=inviter.name,
            role=role,
            expires_at=invitation.expires_at,
        )
        return invitation


def revoke_invitation(*, actor: Actor, org_id: UUID, invitation_id: UUID) -> None:
    """Take an open invitation back; one that is over stays as it is.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
    """
    with tenancy.enter(org_id):
        policy.require_here(actor, Action.MEMBER_INVITE)
        invitation = Invitation.objects.select_for_update().filter(id=invitation_id).first()
        if invitation is None:
            raise NotVisible
        if invitation.accepted_at is None and invitation.ended_at is None:
            end_invitation(invitation, actor=actor, cause="taken_back")


def accept_invitation(*, actor: Actor, invitation_id: UUID, person: Person) -> Organization:
    """Become a member by one's invitation.

    Raises:
        NotVisible: there is no such invitation.
        Conflict: it is over, or for somebody else; says which, to whoever holds its link.
    """
    org_id = organization_of_invitation(invitation_id)
    if org_id is None:
        raise NotVisible
    with tenancy.enter(org_id):
        organization = locked_organization()
        invitation = Invitation.objects.select_for_update().select_related("invited_by").get(id=invitation_id)
        if not person.email_verified or person.email.lower() != invitation.email:
            raise Conflict(WRONG_ADDRESS)
        if invitation.accepted_at is not None:
            raise Conflict("This invitation has been used already.")
        if not is_open(invitation):
            raise Conflict("This invitation is over. Ask whoever sent it for a new one.")
        if Membership.objects.filter(person=person).exclude(suspended_at=None).exists():
            raise Conflict("You are suspended there. Ask one of its owners or admins to restore you.")
        invitation.accepted_at, invitation.accepted_by = timezone.now(), person
        invitation.save(update_fields=["accepted_at", "accepted_by"])
        join(actor=actor, person=person, role=Role(invitation.role))
        return organization


def _address(email: str) -> str:
    email = email.strip().lower()
    try:
        validate_email(email)
    except ValidationError:
        raise Invalid(
            "The invitation has no usable address.", {"email": "Enter one e-mail address."}
        ) from None
    return email


def _close_overdue(email: str) -> None:
    now = timezone.now()
    for invitation in Invitation.objects.filter(
        email=email, accepted_at=None, ended_at=None, expires_at__lte=now
    ):
        invitation.ended_at = invitation.expires_at
        invitation.save(update_fields=["ended_at"])
        append(EventKind.MEMBER_INVITATION_EXPIRED, actor=SYSTEM, target=invitation)
