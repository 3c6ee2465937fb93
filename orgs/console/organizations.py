"""The start page, and the pages of one organization."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from audit.sentences import sentence
from envforge.errors import Conflict, Invalid
from orgs import operations, selectors
from orgs.console.door import page, recognise, see_other, signed_in
from orgs.links import invitation_path
from orgs.selectors import Visitor

read_and_write = require_http_methods(["GET", "HEAD", "POST"])


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """What EnvForge is, for whoever comes to the address; for who is signed in, the way to their organization."""
    visitor = recognise(request)
    if not isinstance(visitor, Visitor):
        return render(request, "home.html")
    mine = selectors.organizations(actor=visitor.actor)
    invited = [
        {"view": view, "path": invitation_path(view.id)}
        for view in selectors.invitations_to(person=visitor.person)
    ]
    if len(mine) == 1 and not invited:
        return see_other(reverse("organization", args=[mine[0].slug]))
    context = {"mine": mine, "invited": invited, "first": True, "given": {}, "wrong": {}}
    template = "organizations/choose.html" if mine else "organizations/new.html"
    return page(request, visitor, template, context)


@read_and_write
@signed_in
def new(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """Create an organization; what was typed stays, with what is wrong beside it."""
    given = {name: request.POST.get(name, "") for name in ("name", "slug")}
    wrong: dict[str, str] = {}
    status = 200
    if request.method == "POST":
        slug = given["slug"].strip()
        try:
            operations.create_organization(
                actor=visitor.actor, slug=slug, name=given["name"], owner=visitor.person
            )
        except Invalid as invalid:
            wrong, status = invalid.fields, invalid.status
        except Conflict as conflict:
            wrong, status = {"slug": conflict.detail}, conflict.status
        else:
            return see_other(reverse("organization", args=[slug]))
    return page(request, visitor, "organizations/new.html", {"given": given, "wrong": wrong}, status=status)


@require_safe
@signed_in
def overview(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """An organization at a glance."""
    seen = selectors.overview(actor=visitor.actor, slug=slug)
    told = [{"at": event.at, "kind": event.kind, "pieces": sentence(event)} for event in seen.events or []]
    context = {"overview": seen, "told": told, "here": "overview"}
    return page(request, visitor, "organizations/overview.html", context, about=seen)


@read_and_write
@signed_in
def settings(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """The organization's name."""
    seen = selectors.settings(actor=visitor.actor, slug=slug)
    given, wrong, status = {"name": seen.organization.name}, {}, 200
    if request.method == "POST":
        given = {"name": request.POST.get("name", "")}
        try:
            operations.rename_organization(
                actor=visitor.actor, org_id=seen.organization.id, name=given["name"]
            )
        except Invalid as invalid:
            wrong, status = invalid.fields, invalid.status
        else:
            return see_other(reverse("organization-settings", args=[slug]))
    context = {"rename": seen.rename, "given": given, "wrong": wrong, "here": "settings"}
    return page(
        request,
        visitor,
        "organizations/settings.html",
        context,
        about=seen,
        status=status,
    )
