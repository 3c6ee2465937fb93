"""A sign-in that has begun, remembered by the browser alone: in a signed cookie for ten minutes.

So beginning one writes nothing here, and a link, a preview or a crawler that begins one costs nothing.
"""

import time
from dataclasses import astuple, dataclass

from django.core import signing
from django.http import HttpRequest, HttpResponse

COOKIE = "__Host-envforge-sign-in"
SALT = "envforge.sign-in"
LIFETIME_S = 600
# Tabs that sign in side by side; a cookie must stay below 4 KiB.
AT_MOST = 4


@dataclass(frozen=True, slots=True)
class Flow:
    """What must come back or be proved when the browser returns, and where it wanted to go."""

    state: str
    nonce: str
    verifier: str
    next: str
    organization: str
    begun_at: int


def begun(request: HttpRequest) -> list[Flow]:
    """The sign-ins this browser has begun and not finished, the oldest first."""
    try:
        kept = signing.loads(request.COOKIES.get(COOKIE, ""), salt=SALT, max_age=LIFETIME_S)
    except signing.BadSignature:
        return []
    oldest = time.time() - LIFETIME_S
    return [flow for flow in (Flow(*one) for one in kept) if flow.begun_at > oldest]


def remember(request: HttpRequest, response: HttpResponse, flow: Flow) -> None:
    """Let the browser remember one more."""
    _set(response, [*begun(request), flow][-AT_MOST:])


def forget(request: HttpRequest, response: HttpResponse, state: str) -> None:
    """Each is answered once, whatever the answer was."""
    _set(response, [flow for flow in begun(request) if flow.state != state])


def _set(response: HttpResponse, flows: list[Flow]) -> None:
    if not flows:
        # Not delete_cookie alone: browsers take back a __Host- cookie only with its attributes.
        response.set_cookie(COOKIE, "", max_age=0, path="/", secure=True, httponly=True, samesite="Lax")
        return
    value = signing.dumps([astuple(flow) for flow in flows], salt=SALT, compress=True)
    response.set_cookie(
        COOKIE, value, max_age=LIFETIME_S, path="/", secure=True, httponly=True, samesite="Lax"
    )
