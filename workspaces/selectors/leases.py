"""The jobs that keep a workspace's runtime awake (W7)."""

from uuid import UUID

from django.utils import timezone

from envforge.actor import Actor
from envforge.errors import NotVisible
from orgs import policy
from orgs.policy import Action
from orgs.selectors import visible
from workspaces.models import JobLease, Presence, Runtime, Workspace
from workspaces.operations.leases import LeaseView


def leases(*, actor: Actor, slug: str, workspace_id: UUID) -> list[LeaseView]:
    """Those that are held now, the longest first.

    Raises:
        NotVisible: there is no such workspace for this actor.
        NotAllowed: see `policy.require`.
    """
    with visible(actor, slug):
        workspace = Workspace.objects.filter(id=workspace_id).exclude(wanted=Presence.DELETED).first()
        if workspace is None:
            raise NotVisible
        policy.require(actor, Action.WORKSPACE_VIEW, workspace)
        runtime = Runtime.objects.get(workspace=workspace)
        rows = JobLease.objects.filter(runtime=runtime, released_at=None, until__gt=timezone.now())
        return [LeaseView.of(row, runtime) for row in rows.order_by("-until", "id")]
