"""Every read of organizations and their people."""

from dataclasses import dataclass
from uuid import UUID

from envforge import tenancy
from envforge.actor import Actor
from envforge.errors import NotVisible
from orgs import policy
from orgs.lookups import organization_by_slug
from orgs.models import Membership, Organization
from orgs.policy import Action


@dataclass(frozen=True, slots=True)
class MemberView:
    """A member as other members see them."""

    person_id: UUID
    name: str
    email: str
    roles: tuple[str, ...]


def organization(*, actor: Actor, slug: str) -> Organization:
    """The organization with this slug.

    Raises:
        NotVisible: there is none, or the actor is no member of it.
    """
    org_id = organization_by_slug(slug)
    if org_id is None:
        raise NotVisible
    with tenancy.enter(org_id):
        found = Organization.objects.filter(id=org_id).first()
        if found is None:
            raise NotVisible
        policy.require(actor, Action.ORGANIZATION_VIEW, found)
        return found


def members(*, actor: Actor, org_id: UUID) -> list[MemberView]:
    """The members by name, each with their roles; two queries, whatever the size.

    Raises:
        NotVisible: the actor is no member.
    """
    with tenancy.enter(org_id):
        found = Organization.objects.filter(id=org_id).first()
        if found is None:
            raise NotVisible
        policy.require(actor, Action.ORGANIZATION_VIEW, found)
        rows = Membership.objects.select_related("person").prefetch_related("grants").order_by("person__name", "id")
        return [
            MemberView(row.person.id, row.person.name, row.person.email, tuple(sorted(grant.role for grant in row.grants.all()))) for row in rows
        ]
