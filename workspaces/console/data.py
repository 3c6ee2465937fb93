"""The page on which the data of a managed resource is deleted, or kept after all (W3)."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from envforge.errors import Conflict, Invalid, NotVisible
from orgs.console.door import page, see_other, signed_in
from orgs.policy import Action
from orgs.selectors import Visitor
from workspaces.operations.data import delete_data, keep_data
from workspaces.selectors.resources import resources

MAX_SHOWN_LENGTH = 64


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def data(
    request: HttpRequest, visitor: Visitor, slug: str, workspace_id: UUID, repository: str, resource: str
) -> HttpResponse:
    """Say what deleting does; a POST asks for it, once the resource's name was typed, or takes that back."""
    seen, views = resources(actor=visitor.actor, slug=slug, workspace_id=workspace_id)
    view = next((one for one in views if (one.repository, one.name) == (repository, resource)), None)
    if view is None or not (view.managed and view.has_data):
        raise NotVisible
    wrong, refused, status = "", "", 200
    if request.method == "POST":
        named: dict[str, Any] = {
            "actor": visitor.actor,
            "org_id": seen.organization.id,
            "workspace_id": workspace_id,
            "repository": repository,
            "resource": resource,
        }
        act = request.POST.get("act", "")
        if act not in {"delete", "keep"}:
            raise Invalid("That is none of the choices.", {"act": "Choose delete or keep."})
        typed = request.POST.get("name", "")[:MAX_SHOWN_LENGTH].strip()
        try:
            if act == "keep":
                keep_data(**named)
            elif seen.may[Action.DATA_DELETE].allowed and typed != view.name:
                wrong, status = f"This is not its name. Type {view.name}.", 422
            else:
                delete_data(**named)
        except Conflict as error:
            refused, status = error.detail, error.status
        if not (wrong or refused):
            return see_other(reverse("workspace", args=[slug, workspace_id]))
    context = {
        "here": "workspaces",
        "seen": seen,
        "view": view,
        "delete": seen.may[Action.DATA_DELETE],
        "wrong": wrong,
        "refused": refused,
    }
    return page(request, visitor, "workspaces/data.html", context, about=seen, status=status)
