"""Rows that an operation is about, locked in one order: the workspace, then its runtime or shell."""

from uuid import UUID

from envforge.actor import Actor
from envforge.errors import NotVisible
from orgs import policy
from orgs.policy import Action
from workspaces.models import Presence, Runtime, Workspace


def locked_workspace(actor: Actor, action: Action, workspace_id: UUID) -> Workspace:
    """A workspace that is not deleted, for an actor who may do this to it.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
    """
    workspace = Workspace.objects.select_for_update().filter(id=workspace_id).first()
    if workspace is None or workspace.wanted == Presence.DELETED:
        raise NotVisible
    policy.require(actor, action, workspace)
    return workspace


def locked_runtime(actor: Actor, action: Action, workspace_id: UUID) -> Runtime:
    """The runtime of such a workspace, which `workspace` holds; raises as `locked_workspace`."""
    return _runtime_of(locked_workspace(actor, action, workspace_id))


def runtime_in(workspace_id: UUID) -> Runtime | None:
    """The same for machine steps, whatever is wanted of the workspace; None where there is none."""
    workspace = Workspace.objects.select_for_update().filter(id=workspace_id).first()
    return _runtime_of(workspace) if workspace is not None else None


def _runtime_of(workspace: Workspace) -> Runtime:
    runtime = Runtime.objects.select_for_update().get(workspace=workspace)
    runtime.workspace = workspace
    return runtime
