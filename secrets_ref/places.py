"""Where a secret belongs: the organization, a project or a workspace of it."""

from uuid import UUID

from envforge import tenancy
from envforge.actor import Target
from envforge.errors import NotVisible
from orgs.models import Organization
from orgs.places import place_at
from orgs.roles import Scope


def place_target(project_id: UUID | None, workspace_id: UUID | None) -> Target:
    """The target that stands for a place of the entered organization, for policy.

    Raises:
        NotVisible: there is no such project or workspace, or the workspace is another project's.
    """
    if workspace_id is not None:
        workspace = place_at(Scope.WORKSPACE, workspace_id)
        if workspace is None or workspace.project_id != project_id:
            raise NotVisible
        return workspace.as_target()
    if project_id is not None:
        project = place_at(Scope.PROJECT, project_id)
        if project is None:
            raise NotVisible
        return project.as_target()
    organization = Organization.objects.filter(id=tenancy.current_org()).first()
    if organization is None:
        raise NotVisible
    return organization.as_target()
