"""The shell in the console: how to come in, who is there, and who was let in."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from envforge.errors import Conflict, Invalid
from orgs.console.door import page, see_other, signed_in
from orgs.policy import Action
from orgs.selectors import Visitor, organization
from workspaces.console import words
from workspaces.operations.certificates import Issued, end_session, issue_certificate
from workspaces.selectors import shells

LONGEST_KEY = 9000
ENDS = {
    "left": "left",
    "certificate_expired": "left",
    "access_ended": "access was ended",
    "idle": "was not heard of any more",
    "lost": "the connection broke",
    "restarted": "the shell's machine started anew",
    "host_lost": "the shell's machine was replaced",
}


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def shell(request: HttpRequest, visitor: Visitor, slug: str, workspace_id: UUID) -> HttpResponse:
    """The shell and who came in; a POST certifies a public key."""
    wrong: dict[str, str] = {}
    status, refused = 200, ""
    issued: Issued | None = None
    if request.method == "POST":
        try:
            issued = issue_certificate(
                actor=visitor.actor,
                org_id=organization(actor=visitor.actor, slug=slug).id,
                workspace_id=workspace_id,
                public_key=request.POST.get("public_key", "")[:LONGEST_KEY],
                forwarding="forwarding" in request.POST,
            )
        except Invalid as error:
            wrong, status = error.fields, error.status
        except Conflict as error:
            refused, status = error.detail, error.status
    seen = shells.shell(actor=visitor.actor, slug=slug, workspace_id=workspace_id)
    state, dot = words.SHELLS[seen.state]
    context = {
        "here": "workspaces",
        "seen": seen,
        "state": state,
        "dot": dot,
        "sessions": [{"view": one, "end": ENDS.get(one.end, one.end)} for one in seen.sessions],
        "may_connect": seen.may[Action.SHELL_CONNECT],
        "may_forward": seen.may[Action.CONSOLE_FORWARD].allowed,
        "issued": issued,
        "given": request.POST.get("public_key", "")[:LONGEST_KEY] if wrong else "",
        "wrong": wrong,
        "refused": refused,
    }
    return page(request, visitor, "workspaces/shell.html", context, about=seen, status=status)


@require_POST
@signed_in
def end(
    request: HttpRequest, visitor: Visitor, slug: str, workspace_id: UUID, session_id: UUID
) -> HttpResponse:
    """End a connection."""
    org_id = organization(actor=visitor.actor, slug=slug).id
    end_session(actor=visitor.actor, org_id=org_id, workspace_id=workspace_id, session_id=session_id)
    return see_other(reverse("workspace-shell", args=[slug, workspace_id]))
