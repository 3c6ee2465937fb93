"""Support's site: who comes in, and that everybody only reads.

Every address of it goes through `SupportSite.admin_view`: signed in at this host, a live staff grant, and no other method
than GET but where a view says that it writes.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from csp.constants import UNSAFE_EVAL
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.urls import path
from django.urls.resolvers import URLPattern, URLResolver
from django.views.decorators.csrf import csrf_protect
from unfold.sites import UnfoldAdminSite

from envforge import problems
from envforge.errors import NotAllowed, announce_denial
from orgs import visits
from orgs.admin import lists, pages
from orgs.console.door import recognise, to_sign_in
from orgs.selectors import Visitor
from orgs.staff_rule import require_staff

READS = frozenset({"GET", "HEAD"})

View = Callable[..., HttpResponse]


def stylesheet(request: HttpRequest) -> str:
    return static("css/support.css")


def icon(request: HttpRequest) -> str:
    return static("img/mark.svg")


class SupportSite(UnfoldAdminSite):  # type: ignore[misc]
    """Django's admin with the doors of our own."""

    site_header = "EnvForge support"
    index_title = "Overview"

    def has_permission(self, request: HttpRequest) -> bool:
        return hasattr(request, "visitor")

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        """The view behind the door; `cacheable` is Django's and changes nothing, since no answer is cached."""

        @wraps(view)
        def door(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            visitor = recognise(request)
            if not isinstance(visitor, Visitor):
                back = request.get_full_path() if request.method in READS else ""
                return to_sign_in(next=back, problem=visitor)
            try:
                require_staff(actor=visitor.actor)
            except NotAllowed as refused:
                return _not_staff(request, visitor, refused)
            if request.method not in getattr(view, "methods", READS):
                return problems.respond(
                    request, status=405, title="Support only reads", detail=problems.STATUS_DETAILS[405]
                )
            request.visitor = visitor  # type: ignore[attr-defined]
            request.visit = visits.current_visit(actor=visitor.actor)  # type: ignore[attr-defined]
            request.user = visitor.person
            return _relaxed(view(request, *args, **kwargs))

        return csrf_protect(door)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Nothing: what there is stands in `navigation.sidebar`."""
        return []

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        # The colours are in our stylesheet; as a style element in the page they would need a hole in the CSP.
        context: dict[str, Any] = super().each_context(request)
        return context | {"colors": None, "visit": request.visit}  # type: ignore[attr-defined]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return pages.index(request)

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """Our pages and the lists; none of Django's that write, sign in or search."""
        behind = self.admin_view
        return [
            path("", behind(self.index), name="index"),
            path("enter", behind(pages.enter), name="enter"),
            path("o/<uuid:org_id>/", behind(pages.overview), name="overview"),
            path("o/<uuid:org_id>/members", behind(pages.members), name="members"),
            path("o/<uuid:org_id>/timeline", behind(pages.timeline), name="timeline"),
            path("o/<uuid:org_id>/leave", behind(pages.leave), name="leave"),
            path("jsi18n/", behind(self.i18n_javascript), name="jsi18n"),
            *(
                path(f"lists/{model_list.address}/", behind(model_list.changelist_view), name=model_list.name)
                for model_list in self._registry.values()
            ),
        ]


def _not_staff(request: HttpRequest, visitor: Visitor, refused: NotAllowed) -> HttpResponse:
    if problems.wants_json(request):
        return problems.from_error(request, refused)
    announce_denial(refused.denial)
    context = {"person": visitor.person, "detail": refused.detail, "rule": refused.denial.rule}
    response = render(request, "support/not_staff.html", context, status=refused.status)
    response._csp_update = _to_issuer()  # type: ignore[attr-defined]  # noqa: SLF001
    return response


def _relaxed(response: HttpResponse) -> HttpResponse:
    # Unfold's Alpine evaluates the expressions in its attributes: here, and at no other host.
    response._csp_update = {"script-src": [UNSAFE_EVAL]} | _to_issuer()  # type: ignore[attr-defined]  # noqa: SLF001
    return response


def _to_issuer() -> dict[str, list[str]]:
    # Signing out is a form that ends at the issuer.
    issuer = urlsplit(settings.AUTH0_ISSUER)
    return {"form-action": [f"{issuer.scheme}://{issuer.netloc}"]}


site = SupportSite(name="admin")
lists.register(site)
