"""Reads of invitations by the person they are for, who is no member yet."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from envforge import tenancy
from envforge.errors import NotVisible
from orgs.lookups import invitations_of_email, organization_of_invitation
from orgs.memberships import is_open
from orgs.models import Invitation, Organization, Person

MOST_SHOWN = 20
State = Literal["open", "used", "used_by_you", "over", "wrong_address"]


@dataclass(frozen=True, slots=True)
class InvitationView:
    """An invitation as whoever holds its link sees it; `state` is what it is for this person."""

    id: UUID
    organization_name: str
    slug: str
    role: str
    invited_by: str
    expires_at: datetime
    state: State


def invitation(*, person: Person, invitation_id: UUID) -> InvitationView:
    """The invitation as this person may use it.

    Raises:
        NotVisible: there is none.
    """
    org_id = organization_of_invitation(invitation_id)
    if org_id is None:
        raise NotVisible
    with tenancy.enter(org_id):
        row = Invitation.objects.select_related("invited_by").get(id=invitation_id)
        organization = Organization.objects.get(id=org_id)
        return InvitationView(
            row.id,
            organization.name,
            organization.slug,
            row.role,
            row.invited_by.name,
            row.expires_at,
            _state(row, person),
        )


def invitations_to(*, person: Person) -> list[InvitationView]:
    """The open invitations to the person's verified address; the work grows with their number alone."""
    if not person.email_verified:
        return []
    views = [
        invitation(person=person, invitation_id=one)
        for one in invitations_of_email(person.email)[:MOST_SHOWN]
    ]
    return [view for view in views if view.state == "open"]


def _state(row: Invitation, person: Person) -> State:
    if row.accepted_at is not None:
        return "used_by_you" if row.accepted_by_id == person.id else "used"
    if not person.email_verified or person.email.lower() != row.email:
        return "wrong_address"
    return "open" if is_open(row) else "over"
