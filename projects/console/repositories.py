"""One repository: its address, default branch and access, and taking it out."""

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from envforge.errors import Conflict, Invalid
from orgs.console.door import page, see_other, signed_in
from orgs.policy import Action
from orgs.selectors import Visitor
from projects import operations, selectors
from projects.console.projects import access_of, beside_choice
from projects.console.words import APP, MAX_ADDRESS_LENGTH, access_choices

read_and_write = require_http_methods(["GET", "HEAD", "POST"])


@read_and_write
@signed_in
def repository(
    request: HttpRequest, visitor: Visitor, slug: str, project: str, repository: str
) -> HttpResponse:
    """The repository's form; a POST changes where and how it is read."""
    seen = selectors.repository(actor=visitor.actor, slug=slug, project=project, name=repository)
    view = seen.repository
    given = {
        "url": view.url,
        "default_branch": view.default_branch,
        "access": f"{APP}{view.app}" if view.app else str(view.access_id or ""),
    }
    wrong: dict[str, str] = {}
    status = 200
    if request.method == "POST":
        given = {name: request.POST.get(name, "")[:MAX_ADDRESS_LENGTH].strip() for name in given}
        try:
            operations.change_repository(
                actor=visitor.actor,
                org_id=seen.organization.id,
                repository_id=view.id,
                url=request.POST.get("url", "").strip(),
                default_branch=given["default_branch"],
                **access_of(given["access"]),
            )
        except Invalid as invalid:
            wrong, status = beside_choice(invalid.fields), invalid.status
            if "url" in wrong:
                # The address that was refused may hold a credential.
                given["url"] = view.url
        except Conflict as conflict:
            wrong, status = {"url": conflict.detail}, conflict.status
        else:
            return see_other(reverse("project", args=[slug, project]))
    context = {
        "seen": seen,
        "may": seen.may[Action.REPOSITORY_MANAGE],
        "given": given,
        "wrong": wrong,
        "secrets": access_choices(seen.secrets, sorted({*seen.apps, *filter(None, [view.app])})),
        "here": "projects",
    }
    return page(request, visitor, "projects/repository.html", context, about=seen, status=status)


@read_and_write
@signed_in
def remove(request: HttpRequest, visitor: Visitor, slug: str, project: str, repository: str) -> HttpResponse:
    """Say what goes with the repository; a POST takes it out."""
    seen = selectors.repository(actor=visitor.actor, slug=slug, project=project, name=repository)
    refused, status = "", 200
    if request.method == "POST":
        try:
            operations.remove_repository(
                actor=visitor.actor, org_id=seen.organization.id, repository_id=seen.repository.id
            )
        except Conflict as conflict:
            refused, status = conflict.detail, conflict.status
        else:
            return see_other(reverse("project", args=[slug, project]))
    context = {
        "seen": seen,
        "may": seen.may[Action.REPOSITORY_MANAGE],
        "refused": refused,
        "here": "projects",
    }
    return page(request, visitor, "projects/remove.html", context, about=seen, status=status)
