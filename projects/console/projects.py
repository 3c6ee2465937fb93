"""The projects of an organization, and one of them."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from envforge.errors import Conflict, Invalid
from orgs.console.door import is_live, page, see_other, signed_in
from orgs.console.forms import uuid_or_none
from orgs.policy import Action
from orgs.selectors import Visitor, organization
from projects import operations, selectors
from projects.console.words import (
    APP,
    MAX_ADDRESS_LENGTH,
    MAX_SHOWN_LENGTH,
    access_choices,
    branches_refused,
    repository_row,
)
from projects.selectors import OneProject

read_and_write = require_http_methods(["GET", "HEAD", "POST"])
NEW_REPOSITORY = {"name": "", "url": "", "default_branch": "main", "access": ""}


@read_and_write
@signed_in
def projects(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """The projects; a POST creates one."""
    given = {"name": "", "slug": ""}
    wrong: dict[str, str] = {}
    status = 200
    if request.method == "POST":
        given = {name: request.POST.get(name, "")[:MAX_SHOWN_LENGTH] for name in given}
        try:
            made = operations.create_project(
                actor=visitor.actor,
                org_id=organization(actor=visitor.actor, slug=slug).id,
                slug=request.POST.get("slug", ""),
                name=request.POST.get("name", ""),
            )
        except Invalid as invalid:
            wrong, status = invalid.fields, invalid.status
            # What cannot be a name may be a credential in the wrong field.
            given |= dict.fromkeys(wrong, "")
        except Conflict as conflict:
            wrong, status = {"slug": conflict.detail}, conflict.status
        else:
            return see_other(reverse("project", args=[slug, made.slug]))
    seen = selectors.projects(actor=visitor.actor, slug=slug)
    context = {
        "seen": seen,
        "given": given,
        "wrong": wrong,
        "here": "projects",
    }
    return page(request, visitor, "projects/list.html", context, about=seen, status=status)


@read_and_write
@signed_in
def project(request: HttpRequest, visitor: Visitor, slug: str, project: str) -> HttpResponse:
    """One project with its repositories; a POST adds a repository."""
    seen = selectors.project(actor=visitor.actor, slug=slug, project=project)
    given, wrong, status = NEW_REPOSITORY, {}, 200
    if request.method == "POST":
        given = {name: request.POST.get(name, "")[:MAX_ADDRESS_LENGTH].strip() for name in given}
        try:
            operations.add_repository(
                actor=visitor.actor,
                org_id=seen.organization.id,
                project_id=seen.project.id,
                name=given["name"],
                url=request.POST.get("url", "").strip(),
                default_branch=given["default_branch"],
                **access_of(given["access"]),
            )
        except Invalid as invalid:
            wrong, status = beside_choice(invalid.fields), invalid.status
            given |= dict.fromkeys(wrong.keys() & {"name", "url"}, "")
        except Conflict as conflict:
            wrong, status = {"name": conflict.detail}, conflict.status
        else:
            return see_other(reverse("project", args=[slug, project]))
    context = {**_told(seen), "given": given, "wrong": wrong, "live": is_live(request)}
    return page(request, visitor, "projects/one.html", context, about=seen, status=status)


@read_and_write
@signed_in
def archive(request: HttpRequest, visitor: Visitor, slug: str, project: str) -> HttpResponse:
    """Say what archiving does; a POST archives."""
    seen = selectors.project(actor=visitor.actor, slug=slug, project=project)
    if request.method == "POST":
        operations.archive_project(
            actor=visitor.actor, org_id=seen.organization.id, project_id=seen.project.id
        )
        return see_other(reverse("project", args=[slug, project]))
    context = {"seen": seen, "may": seen.may[Action.PROJECT_ARCHIVE], "here": "projects"}
    return page(request, visitor, "projects/archive.html", context, about=seen)


def access_of(sent: str) -> dict[str, Any]:
    """The secret or the app that was chosen for reading a repository, as operations take it.

    Raises:
        Invalid: it is none of the choices.
    """
    if sent.startswith(APP):
        return {"access_id": None, "app": sent.removeprefix(APP)}
    found = uuid_or_none(sent)
    if sent and found is None:
        raise Invalid("That is none of the choices.", {"access": "Choose one of the list."})
    return {"access_id": found, "app": ""}


def beside_choice(fields: dict[str, str]) -> dict[str, str]:
    """What is wrong with an app stands beside the one choice there is for how a repository is read."""
    return {"access" if field == "app" else field: words for field, words in fields.items()}


def _told(seen: OneProject) -> dict[str, Any]:
    may = seen.may
    manage = not seen.project.archived_at and may[Action.REPOSITORY_MANAGE].allowed
    return {
        "seen": seen,
        "rows": [repository_row(one) for one in seen.repositories],
        "waiting": [one for view in seen.repositories for one in view.waiting],
        "refused": branches_refused(seen.repositories),
        "lacking": [view.name for view in seen.repositories if view.missing],
        "secrets": access_choices(seen.secrets, seen.apps),
        "may_manage": manage,
        "may_bind": not seen.project.archived_at and may[Action.BINDING_CHANGE].allowed,
        "may_provide": not seen.project.archived_at and may[Action.RESOURCE_MODE_CHANGE].allowed,
        "may_archive": not seen.project.archived_at and may[Action.PROJECT_ARCHIVE].allowed,
        "manage": may[Action.REPOSITORY_MANAGE],
        "here": "projects",
    }
