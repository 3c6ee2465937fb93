"""Deleting what lies with a managed resource, while its workspace goes on (W3, W12)."""

from uuid import UUID

from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import Actor
from envforge.errors import Conflict, NotVisible
from orgs.policy import Action
from workspaces.locks import locked_workspace
from workspaces.models import Account, Observed, Presence, Runtime, Workspace


def delete_data(*, actor: Actor, org_id: UUID, workspace_id: UUID, repository: str, resource: str) -> None:
    """Want the data of a managed resource deleted: at the next wake, before the resource starts anew and empty. Again, it changes nothing.

    Args:
        repository, resource: as the workspace's page names them.

    Raises:
        NotVisible, NotAllowed: see `policy.require`; or nothing ever lay there.
        Conflict: the workspace is archived.
    """
    with tenancy.enter(org_id):
        workspace, account = _locked(actor, workspace_id, repository, resource)
        if workspace.wanted != Presence.PRESENT:
            raise Conflict("This workspace is archived. Restore it, or delete it with all of its data.")
        if account.data_wanted != account.data_observed:
            return
        account.data_wanted = account.data_observed + 1
        account.data_asked_at, account.data_asked_by = timezone.now(), actor.label[:200]
        account.save(update_fields=["data_wanted", "data_asked_at", "data_asked_by"])
        append(
            EventKind.RESOURCE_DATA_DELETION_ASKED,
            actor=actor,
            target=workspace,
            resource=f"{repository}/{resource}",
        )


def keep_data(*, actor: Actor, org_id: UUID, workspace_id: UUID, repository: str, resource: str) -> None:
    """Take back `delete_data`. Where it was not asked for, it changes nothing.

    Raises:
        NotVisible, NotAllowed: as `delete_data`.
        Conflict: a VM was told to delete it already.
    """
    with tenancy.enter(org_id):
        workspace, account = _locked(actor, workspace_id, repository, resource)
        if account.data_wanted == account.data_observed:
            return
        runtime = Runtime.objects.select_for_update().get(workspace=workspace)
        if runtime.observed == Observed.STARTING:
            raise Conflict(
                "Its services are being started, and the data is deleted with that. Nobody can stop it now."
            )
        account.data_wanted = account.data_observed
        account.data_asked_at, account.data_asked_by = None, ""
        account.save(update_fields=["data_wanted", "data_asked_at", "data_asked_by"])
        append(
            EventKind.RESOURCE_DATA_DELETION_TAKEN_BACK,
            actor=actor,
            target=workspace,
            resource=f"{repository}/{resource}",
        )


def _locked(actor: Actor, workspace_id: UUID, repository: str, resource: str) -> tuple[Workspace, Account]:
    workspace = locked_workspace(actor, Action.DATA_DELETE, workspace_id)
    account = Account.objects.filter(workspace=workspace, name=f"{repository}/{resource}").first()
    if account is None:
        raise NotVisible
    return workspace, account
