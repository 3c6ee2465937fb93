"""The door from the console's sign-in to a dev host (L8, THREATS G4)."""

from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_safe

from devlinks.operations.members import enter_dev_host
from envforge.errors import NotVisible
from envforge_protocol.gateway.opening import (
    CODE_FIELD,
    HOST_PARAMETER,
    NEXT_FIELD,
    NEXT_PARAMETER,
    REDEEM_PATH,
    STATE_PARAMETER,
)
from orgs.console.door import signed_in
from orgs.selectors import Visitor

LONGEST_NEXT = 2000


@require_safe
@signed_in
@sensitive_variables("code")
def enter(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """A page whose form takes a one-time code to the dev host; by script, or by its button.

    It is answered to a GET, and writes: the code it makes is good for nothing but the browser that holds the state.
    """
    wanted = request.GET.get(HOST_PARAMETER, "")
    if not settings.DEV_DOMAIN or len(wanted) > LONGEST_NEXT:
        raise NotVisible
    host, code = enter_dev_host(
        actor=visitor.actor,
        console_session_id=visitor.session.id,
        host=wanted,
        state=request.GET.get(STATE_PARAMETER, ""),
    )
    dev = urlsplit(settings.DEV_URL)
    origin = f"{dev.scheme}://{host}{f':{dev.port}' if dev.port else ''}"
    context = {
        "me": visitor.person,
        "host": host,
        "action": origin + REDEEM_PATH,
        "code_field": CODE_FIELD,
        "code": code.reveal_text(),
        "next_field": NEXT_FIELD,
        "next": _inside(request.GET.get(NEXT_PARAMETER, "")),
    }
    response = render(request, "devlinks/enter.html", context)
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"
    # To this one host, and nowhere else.
    response._csp_replace = {"form-action": [origin]}  # type: ignore[attr-defined]  # noqa: SLF001
    return response


def _inside(wanted: str) -> str:
    """A path of the dev host; its start in place of anything else."""
    inside = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable()
    return wanted if inside and len(wanted) <= LONGEST_NEXT else "/"
