"""Rows that an operation on links is about, locked in one order: organization, workspace, link."""

from uuid import UUID

from devlinks.models import DevLink
from envforge.actor import Actor
from envforge.errors import NotVisible
from orgs import policy
from orgs.policy import About, Action
from workspaces.models import Presence, Workspace


def workspace_for(actor: Actor, action: Action, workspace_id: UUID) -> Workspace:
    """A workspace that is not deleted, for an actor who may do this to it.

    Raises:
        NotVisible, NotAllowed: see `policy.require`; its public access is closed (L7).
    """
    found = Workspace.objects.filter(id=workspace_id).exclude(wanted=Presence.DELETED).first()
    if found is None:
        raise NotVisible
    policy.require(actor, action, found, About(private=not found.public))
    return found


def link_for(actor: Actor, action: Action, link_id: UUID) -> DevLink:
    """A locked link, for an actor who may do this to it; its issuer may do to it what operators may.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
    """
    found = (
        DevLink.objects.select_for_update(of=("self",)).select_related("workspace", "host").filter(id=link_id)
    ).first()
    if found is None:
        raise NotVisible
    policy.require(actor, action, found.workspace, About(belongs_to=found.person_id))
    return found
