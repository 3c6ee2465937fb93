"""Adding, changing and removing repositories."""

import re
from uuid import UUID

from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import Actor
from envforge.errors import Conflict, Invalid
from envforge.ids import id_of_request
from envforge_protocol.credentials import credential_in
from orgs.policy import Action
from projects.git_addresses import require_address, require_branch
from projects.locks import locked_project, locked_repository, reading_app, usable_secret
from projects.models import NAME_FORM, Binding, Repository
from projects.operations.projects import KEY_WORDS

NAME_WORDS = "Use 1 to 40 lower-case letters, digits and single dashes between them; it is the directory in workspaces."


def add_repository(
    *,
    actor: Actor,
    org_id: UUID,
    project_id: UUID,
    name: str,
    url: str,
    default_branch: str = "main",
    access_id: UUID | None = None,
    app: str = "",
    key: str = "",
) -> Repository:
    """Add a repository to a project.

    Args:
        access_id: the secret with which it is read; none where anybody may read it, or an app mints what reads it.
        app: the name of the forge app that mints for it.
        key: the same for the same request sent twice; the second then changes and records nothing.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
        Invalid: the name, the address, the branch or the secret cannot be used.
        Conflict: the project has a repository of this name, or is archived; or the key was used for another repository.
    """
    with tenancy.enter(org_id):
        project = locked_project(actor, Action.REPOSITORY_MANAGE, project_id)
        if len(name) > 40 or not re.fullmatch(NAME_FORM, name, re.ASCII) or credential_in(name):
            raise Invalid(NAME_WORDS, {"name": NAME_WORDS})
        require_address(url)
        require_branch(default_branch)
        _require_one(access_id, app)
        access = usable_secret(actor, project, access_id, field="access") if access_id else None
        minting = reading_app(actor, app, url) if app else None
        wanted_id = id_of_request(org_id, actor, key)
        before = Repository.objects.filter(id=wanted_id).first()
        if before is not None:
            if (before.project_id, before.name) != (project.id, name):
                raise Conflict(KEY_WORDS)
            return before
        if Repository.objects.filter(project=project, name=name, removed_at=None).exists():
            raise Conflict(f"The project has a repository {name} already. Choose another name.")
        made = Repository.objects.create(
            id=wanted_id,
            project=project,
            name=name,
            url=url,
            default_branch=default_branch,
            access=access,
            app=minting,
        )
        append(EventKind.REPOSITORY_ADDED, actor=actor, target=made)
        return made


def change_repository(
    *,
    actor: Actor,
    org_id: UUID,
    repository_id: UUID,
    url: str,
    default_branch: str,
    access_id: UUID | None,
    app: str = "",
) -> None:
    """Give a repository another address, default branch or access; the same again changes and records nothing.

    Raises:
        As `add_repository`.
    """
    with tenancy.enter(org_id):
        repository = locked_repository(actor, Action.REPOSITORY_MANAGE, repository_id)
        require_address(url)
        require_branch(default_branch)
        _require_one(access_id, app)
        if access_id:
            usable_secret(actor, repository.project, access_id, field="access")
        as_before = repository.app is not None and (repository.app.name, repository.url) == (app, url)
        minting = repository.app if as_before else reading_app(actor, app, url) if app else None
        wanted = (url, default_branch, access_id, minting)
        if (repository.url, repository.default_branch, repository.access_id, repository.app) == wanted:
            return
        repository.url, repository.default_branch, repository.access_id, repository.app = wanted
        repository.save(update_fields=["url", "default_branch", "access", "app"])
        append(EventKind.REPOSITORY_CHANGED, actor=actor, target=repository)


def remove_repository(*, actor: Actor, org_id: UUID, repository_id: UUID) -> None:
    """Take a repository out of its project; its name is free again.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
        Conflict: another repository's input is bound to its service, or the project is archived.
    """
    with tenancy.enter(org_id):
        repository = locked_repository(actor, Action.REPOSITORY_MANAGE, repository_id)
        using = Binding.objects.filter(route_to=repository, repository__removed_at=None)
        first = using.select_related("repository").order_by("repository__name", "input").first()
        if first:
            raise Conflict(
                f"{first.input} of {first.repository.name} leads to it. Bind that elsewhere first."
            )
        repository.removed_at = timezone.now()
        repository.save(update_fields=["removed_at"])
        append(EventKind.REPOSITORY_REMOVED, actor=actor, target=repository)


def _require_one(access_id: UUID | None, app: str) -> None:
    if access_id and app:
        words = "Choose a secret or an app, not both."
        raise Invalid(words, {"app": words})
