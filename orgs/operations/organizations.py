"""Every write to organizations and their people."""

import re
from uuid import UUID

from django.db import IntegrityError

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import Actor
from envforge.errors import Conflict, Invalid
from envforge.ids import uuid7
from orgs import policy
from orgs.access import locked_organization
from orgs.memberships import join
from orgs.models import SLUG_FORM, Organization, Person
from orgs.policy import Action
from orgs.roles import Role

NAME_FORM = "Use one line of 1 to 80 characters."
SLUG_WORDS = "Use 2 to 39 lowercase letters and digits, with single dashes between them."
UNVERIFIED = (
    "An organization needs an owner who can be reached, and your e-mail address is not verified. "
    "Open the message that the sign-in service sent you, confirm the address, then sign out and in again."
)


def create_organization(*, actor: Actor, slug: str, name: str, owner: Person) -> Organization:
    """Create an organization with its first owner.

    Raises:
        Invalid: the slug or the name cannot be used; says of each what can.
        Conflict: the slug is taken, or the owner has no verified e-mail address.
    """
    name = " ".join(name.split())
    fields = ({} if _is_readable(name) else {"name": NAME_FORM}) | (
        {} if re.fullmatch(SLUG_FORM, slug) else {"slug": SLUG_WORDS}
    )
    if fields:
        raise Invalid("An organization cannot be called that.", fields)
    if not owner.email_verified:
        raise Conflict(UNVERIFIED)
    organization = Organization(id=uuid7(), slug=slug, name=name)
    try:
        with tenancy.enter(organization.id):
            organization.save(force_insert=True)
            append(EventKind.ORGANIZATION_CREATED, actor=actor, target=organization, slug=slug)
            join(actor=actor, person=owner, role=Role.OWNER)
    except IntegrityError as error:
        if "slug" not in str(error):
            raise
        raise Conflict(f"The short name {slug} is taken; choose another.") from None
    return organization


def rename_organization(*, actor: Actor, org_id: UUID, name: str) -> Organization:
    """Give the organization another name; its slug stays. The same name again changes and records nothing.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
        Invalid: the name cannot be used.
    """
    with tenancy.enter(org_id):
        organization = locked_organization()
        policy.require(actor, Action.ORGANIZATION_RENAME, organization)
        name = _readable_name(name)
        if name != organization.name:
            previous, organization.name = organization.name, name
            organization.save(update_fields=["name"])
            append(EventKind.ORGANIZATION_RENAMED, actor=actor, target=organization, previous=previous)
        return organization


def _readable_name(name: str) -> str:
    name = " ".join(name.split())
    if not _is_readable(name):
        raise Invalid("The name cannot be used.", {"name": NAME_FORM})
    return name


def _is_readable(name: str) -> bool:
    return 1 <= len(name) <= 80 and name.isprintable()
