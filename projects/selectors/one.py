"""One project and one repository of it, with what can be chosen in their forms."""

from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q

from envforge.actor import Actor
from envforge.errors import NotVisible
from orgs import policy
from orgs.models import Organization
from orgs.policy import Action, Answer
from orgs.selectors import visible
from projects.models import ForgeApp, Project
from projects.selectors.repositories import RepositoryView, repositories
from secrets_ref.models import Secret, Wanted

MOST_CHOICES = 500
IN_PROJECT = (
    *(Action.PROJECT_VIEW, Action.PROJECT_ARCHIVE, Action.REPOSITORY_MANAGE),
    *(Action.CONTRACT_APPROVE, Action.BINDING_CHANGE, Action.RESOURCE_MODE_CHANGE),
)


@dataclass(frozen=True, slots=True)
class SecretChoice:
    """A secret that the project can use and the actor may see."""

    id: UUID
    name: str
    whole_organization: bool


@dataclass(frozen=True, slots=True)
class OneProject:
    """One project, with what the actor may do to it; repositories that wait for a review come first."""

    organization: Organization
    project: Project
    repositories: list[RepositoryView]
    secrets: list[SecretChoice]
    apps: list[str]
    may: dict[Action, Answer]


@dataclass(frozen=True, slots=True)
class OneRepository:
    """One repository of a project; `others` are the repositories that its inputs can lead to."""

    organization: Organization
    project: Project
    repository: RepositoryView
    others: list[RepositoryView]
    secrets: list[SecretChoice]
    apps: list[str]
    may: dict[Action, Answer]


def project(*, actor: Actor, slug: str, project: str) -> OneProject:
    """One project by its short name; the same number of queries whatever there is in it.

    Raises:
        NotVisible: there is no such organization or project for this actor.
    """
    with visible(actor, slug) as (found, _):
        row, may = visible_project(actor, project)
        return OneProject(found, row, repositories(row), _choices(actor, row), _apps(actor), may)


def repository(*, actor: Actor, slug: str, project: str, name: str) -> OneRepository:
    """One repository in use, by name.

    Raises:
        NotVisible: there is no such organization, project or repository for this actor.
    """
    with visible(actor, slug) as (found, _):
        row, may = visible_project(actor, project)
        views = repositories(row)
        one = next((view for view in views if view.name == name), None)
        if one is None:
            raise NotVisible
        others = sorted((view for view in views if view is not one), key=lambda view: view.name)
        return OneRepository(found, row, one, others, _choices(actor, row), _apps(actor), may)


def visible_project(actor: Actor, slug: str) -> tuple[Project, dict[Action, Answer]]:
    """The project of the entered organization, with what the actor may do to it; raises NotVisible."""
    row = Project.objects.filter(slug=slug).first()
    if row is None:
        raise NotVisible
    may = policy.explain(actor, *IN_PROJECT, target=row)
    if not may[Action.PROJECT_VIEW].allowed:
        policy.require(actor, Action.PROJECT_VIEW, row)
    return row, may


def _choices(actor: Actor, project: Project) -> list[SecretChoice]:
    """As `projects.locks.usable_secret` will have them."""
    seen = policy.reach(actor, Action.SECRET_VIEW)
    usable = Secret.objects.filter(deleted_at=None, wanted=Wanted.PRESENT, workspace_id=None)
    if seen.everywhere:
        within = Q(project_id=None) | Q(project_id=project.id)
    else:
        within = Q(project_id=project.id, project_id__in=seen.project_ids)
    rows = usable.filter(within).order_by("name", "id")[:MOST_CHOICES]
    return [SecretChoice(row.id, row.name, row.project_id is None) for row in rows]


def _apps(actor: Actor) -> list[str]:
    """The forge apps that the actor may have a repository read with, by name."""
    if not policy.reach(actor, Action.FORGE_APP_MANAGE).everywhere:
        return []
    rows = ForgeApp.objects.filter(removed_at=None).order_by("name")
    return list(rows.values_list("name", flat=True)[:MOST_CHOICES])
