"""Rows that an operation is about, locked in one order: the project, then the repository; workspaces come after both.

Their keys are not locked: rows that name them are made meanwhile, by whoever holds a workspace.
"""

from uuid import UUID

from envforge.actor import Actor
from envforge.errors import Conflict, Invalid, NotVisible
from orgs import policy
from orgs.policy import Action
from projects.forge_apps import app_of
from projects.models import ForgeApp, Project, Repository
from secrets_ref.models import Secret, Wanted

NO_SECRET = "There is no such secret that this project can use and you can see."  # noqa: S105 - words


def locked_project(actor: Actor, action: Action, project_id: UUID) -> Project:
    """The project in use, for an actor who may do this to it.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
        Conflict: it is archived.
    """
    project = Project.objects.select_for_update(no_key=True).filter(id=project_id).first()
    if project is None:
        raise NotVisible
    policy.require(actor, action, project)
    if project.archived_at is not None:
        raise Conflict(f"The project {project.name} is archived, and nothing in it changes any more.")
    return project


def locked_repository(actor: Actor, action: Action, repository_id: UUID) -> Repository:
    """The repository in use, with its project; raises as `locked_project`."""
    found = Repository.objects.filter(id=repository_id, removed_at=None).first()
    if found is None:
        raise NotVisible
    project = locked_project(actor, action, found.project_id)
    repository = (
        Repository.objects.select_for_update(no_key=True).filter(id=found.id, removed_at=None).first()
    )
    if repository is None:
        raise NotVisible
    repository.project = project
    return repository


def usable_secret(actor: Actor, project: Project, secret_id: UUID | None, *, field: str) -> Secret:
    """A secret of the organization or the project that the actor may see: nobody hands on what they could not use.

    Raises:
        Invalid: there is no such secret for this actor; beside the field.
    """
    usable = Secret.objects.filter(deleted_at=None, wanted=Wanted.PRESENT, workspace_id=None)
    secret = usable.filter(id=secret_id).first() if secret_id else None
    if secret is None or secret.project_id not in {None, project.id} or not _may_see(actor, secret):
        raise Invalid(NO_SECRET, {field: NO_SECRET})
    return secret


def locked_app(name: str) -> ForgeApp:
    """The app of this name in use, locked, in the entered organization; raises NotVisible."""
    row = ForgeApp.objects.select_for_update().filter(name=name, removed_at=None).first()
    if row is None:
        raise NotVisible
    return row


def reading_app(actor: Actor, name: str, url: str) -> ForgeApp:
    """The app, for a repository at this address, by an actor who may say what it reads.

    Who manages one project's repositories could read any of the installation's by it; so it takes who manages the app.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
        Invalid: there is no such app, or the address is not below the one it reads.
    """
    policy.require_here(actor, Action.FORGE_APP_MANAGE)
    row = ForgeApp.objects.select_for_update().filter(name=name, removed_at=None).first()
    if row is None:
        words = "There is no such forge app."
        raise Invalid(words, {"app": words})
    if app_of(row).repository_of(url) is None:
        words = f"This app reads what is directly below {row.git_url}/ and nothing else."
        raise Invalid(words, {"url": words})
    return row


def _may_see(actor: Actor, secret: Secret) -> bool:
    try:
        return policy.explain(actor, Action.SECRET_VIEW, target=secret)[Action.SECRET_VIEW].allowed
    except NotVisible:
        return False
