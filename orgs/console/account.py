"""One's own account: who one is, and where one is signed in."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from orgs import selectors, sessions
from orgs.console.door import page, see_other, signed_in
from orgs.selectors import Visitor


@require_safe
@signed_in
def account(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """Who I am, and my sessions."""
    mine = selectors.sessions(actor=visitor.actor)
    context = {"sessions": mine, "this": visitor.session.id, "here": "account"}
    return page(request, visitor, "account.html", context)


@require_POST
@signed_in
def end_session(_request: HttpRequest, visitor: Visitor, session_id: UUID) -> HttpResponse:
    """End one of my sessions; the browser it is in finds out at its next request."""
    sessions.end_session(actor=visitor.actor, session_id=session_id, cause="ended_elsewhere")
    return see_other(reverse("account"))


@require_POST
@signed_in
def end_other_sessions(_request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """End all of my sessions but this one."""
    sessions.end_other_sessions(actor=visitor.actor, kept=visitor.session.id)
    return see_other(reverse("account"))
