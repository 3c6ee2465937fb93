"""Workspaces as places of roles and secrets, for the apps below."""

from collections.abc import Iterable
from uuid import UUID

from django.db.models import Q

from envforge.actor import Actor
from orgs import policy
from orgs.places import Place
from orgs.policy import Action
from orgs.roles import Scope
from workspaces.models import Presence, Workspace


class Workspaces:
    """The workspaces of the entered organization."""

    def offered(self, actor: Actor, at_most: int) -> list[Place]:
        """Those in use that the actor may see, by branch."""
        seen = policy.reach(actor, Action.WORKSPACE_VIEW)
        rows = Workspace.objects.filter(wanted=Presence.PRESENT)
        if not seen.everywhere:
            rows = rows.filter(Q(project_id__in=seen.project_ids) | Q(id__in=seen.workspace_ids))
        return [_place(row) for row in rows.order_by("branch", "id")[:at_most]]

    def found(self, ids: Iterable[UUID]) -> list[Place]:
        return [_place(row) for row in Workspace.objects.filter(id__in=list(ids))]


def _place(row: Workspace) -> Place:
    return Place(Scope.WORKSPACE, row.id, row.branch, row.project_id, in_use=row.wanted == Presence.PRESENT)
