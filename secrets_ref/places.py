"""What upper apps tell of where a secret can belong and who names it: projects, workspaces, bindings.

They register in `AppConfig.ready`. Each source is asked with the organization entered, so it can answer of that one alone.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from uuid import UUID

from envforge import tenancy
from envforge.actor import Target
from envforge.errors import NotVisible
from orgs.models import Organization


@dataclass(frozen=True, slots=True)
class WorkspaceOf:
    """A workspace by name, and the project it belongs to."""

    project_id: UUID
    name: str


# The names of those of these projects that exist; all of them for None, for a form to choose from.
ProjectSource = Callable[[Collection[UUID] | None], dict[UUID, str]]
WorkspaceSource = Callable[[Collection[UUID] | None], dict[UUID, WorkspaceOf]]
# For each of these secrets, what names it, in words ("Checkout: DATABASE_URL of web"); those nothing names may be missing.
BindingSource = Callable[[Collection[UUID]], dict[UUID, list[str]]]

_projects: list[ProjectSource] = []
_workspaces: list[WorkspaceSource] = []
_bindings: list[BindingSource] = []


def tell_projects(source: ProjectSource) -> None:
    """Register what knows projects."""
    _projects[:] = [source]


def tell_workspaces(source: WorkspaceSource) -> None:
    """Register what knows workspaces."""
    _workspaces[:] = [source]


def tell_bindings(source: BindingSource) -> None:
    """Register what knows which inputs are bound to a secret."""
    _bindings[:] = [source]


def projects(ids: Collection[UUID] | None = None) -> dict[UUID, str]:
    """Projects' names by id."""
    return _projects[0](ids) if _projects and (ids is None or ids) else {}


def workspaces(ids: Collection[UUID] | None = None) -> dict[UUID, WorkspaceOf]:
    """Workspaces by id."""
    return _workspaces[0](ids) if _workspaces and (ids is None or ids) else {}


def bindings(ids: Collection[UUID]) -> dict[UUID, list[str]]:
    """What names each of these secrets."""
    return _bindings[0](ids) if _bindings and ids else {}


def place_target(project_id: UUID | None, workspace_id: UUID | None) -> Target:
    """The target that stands for a place of the entered organization, for policy.

    Raises:
        NotVisible: there is no such project or workspace, or the workspace is another project's.
    """
    if workspace_id is not None:
        found = workspaces([workspace_id]).get(workspace_id)
        if found is None or found.project_id != project_id:
            raise NotVisible
        return Target(
            "workspace", str(workspace_id), found.name, workspace_id=workspace_id, project_id=project_id
        )
    if project_id is not None:
        name = projects([project_id]).get(project_id)
        if name is None:
            raise NotVisible
        return Target("project", str(project_id), name, project_id=project_id)
    organization = Organization.objects.filter(id=tenancy.current_org()).first()
    if organization is None:
        raise NotVisible
    return organization.as_target()
