"""Support's pages: EnvForge at a glance, the way into an organization, and what is to be seen there."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from audit.sentences import sentence
from envforge.actor import SupportActor
from envforge.cursors import Place, read_cursor, write_cursor
from envforge.errors import Conflict, Invalid, NotVisible
from orgs import support, visits
from orgs.console.door import see_other
from orgs.selectors import Visitor

View = Callable[..., HttpResponse]
FIELDS = ("organization", "reason", "ticket")


def writes(*methods: str) -> Callable[[View], View]:
    """Mark one of the few views that take more than GET (see `SupportSite.admin_view`)."""

    def mark(view: View) -> View:
        view.methods = frozenset(methods)  # type: ignore[attr-defined]
        return view

    return mark


def index(request: HttpRequest) -> HttpResponse:
    """EnvForge in figures, and where to go on."""
    figures = support.figures(actor=_visitor(request).actor)
    return _page(request, "support/index.html", "Overview", {"figures": figures})


@writes("GET", "HEAD", "POST")
def enter(request: HttpRequest) -> HttpResponse:
    """Ask for the organization, the reason and the ticket; what was typed stays, with what is wrong beside it."""
    source = request.POST if request.method == "POST" else request.GET
    given = {name: source.get(name, "") for name in FIELDS}
    wrong: dict[str, str] = {}
    status = 200
    if request.method == "POST":
        try:
            visit = visits.enter_organization(
                actor=_visitor(request).actor,
                wanted=given["organization"],
                reason=given["reason"],
                ticket=given["ticket"],
            )
        except Invalid as invalid:
            wrong, status = invalid.fields, invalid.status
        except Conflict as conflict:
            wrong, status = {"organization": conflict.detail}, conflict.status
        else:
            return see_other(reverse("admin:overview", args=[visit.org_id]))
    context = {"given": given, "wrong": wrong}
    return _page(request, "support/enter.html", "Enter an organization", context, status=status)


def overview(request: HttpRequest, org_id: UUID) -> HttpResponse:
    """The organization at a glance."""
    seen = support.inside(actor=_support_actor(request, org_id), org_id=org_id)
    return _page(request, "support/overview.html", seen.organization.name, {"seen": seen})


def members(request: HttpRequest, org_id: UUID) -> HttpResponse:
    """Who is in the organization, or the one with an e-mail address."""
    email = request.GET.get("email", "").strip()
    organization, seen = support.members_inside(
        actor=_support_actor(request, org_id), org_id=org_id, email=email
    )
    context = {"organization": organization, "members": seen, "email": email}
    return _page(request, "support/members.html", f"Members of {organization.name}", context)


def timeline(request: HttpRequest, org_id: UUID) -> HttpResponse:
    """What happened in the organization, the latest first."""
    organization, events = support.timeline_inside(
        actor=_support_actor(request, org_id), org_id=org_id, before=_place(request.GET.get("before", ""))
    )
    told = [{"at": one.at, "kind": one.kind, "pieces": sentence(one)} for one in events.events]
    older = write_cursor(events.older) if events.older else ""
    context = {"organization": organization, "told": told, "older": older}
    return _page(request, "support/timeline.html", f"Timeline of {organization.name}", context)


@writes("POST")
def leave(request: HttpRequest, org_id: UUID) -> HttpResponse:
    """End the visit before its time."""
    visits.leave_organization(actor=_visitor(request).actor, org_id=org_id)
    return see_other(reverse("admin:index"))


def _page(
    request: HttpRequest, template: str, title: str, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    from orgs.admin.site import site  # noqa: PLC0415 - the site's addresses are these pages

    framed = {**site.each_context(request), "title": title, **context}
    return TemplateResponse(request, template, framed, status=status)


def _visitor(request: HttpRequest) -> Visitor:
    visitor: Visitor = request.visitor  # type: ignore[attr-defined]
    return visitor


def _support_actor(request: HttpRequest, org_id: UUID) -> SupportActor:
    return visits.support_actor(actor=_visitor(request).actor, org_id=org_id)


def _place(text: str) -> Place | None:
    try:
        return read_cursor(text) if text else None
    except ValueError:
        raise NotVisible from None
