"""A sign-in that has begun, remembered by the browser alone: in a signed cookie for ten minutes.

So beginning one writes nothing here, and a link, a preview or a crawler that begins one costs nothing.
"""

import time
from dataclasses import astuple, dataclass, replace

from django.core import signing
from django.http import HttpRequest, HttpResponse

COOKIE = "__Host-envforge-sign-in"
SALT = "envforge.sign-in"
LIFETIME_S = 600
# Tabs that sign in side by side.
AT_MOST = 4
# Browsers keep cookies of up to 4 KiB, with their name and attributes.
MOST_COOKIE = 3800


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
    """Let the browser remember one more: in place of the oldest, where there is no room for all.

    A sign-in whose return address is too long by itself leads to the start page.
    """
    flows = [*begun(request), flow][-AT_MOST:]
    while len(flows) > 1 and len(_signed(flows)) > MOST_COOKIE:
        flows = flows[1:]
    if len(_signed(flows)) > MOST_COOKIE:
        flows = [replace(flow, next="/")]
    _set(response, flows)


def forget(request: HttpRequest, response: HttpResponse, state: str) -> None:
    """Each is answered once, whatever the answer was."""
    _set(response, [flow for flow in begun(request) if flow.state != state])


def _set(response: HttpResponse, flows: list[Flow]) -> None:
    if not flows:
        # Not delete_cookie alone: browsers take back a __Host- cookie only with its attributes.
        response.set_cookie(COOKIE, "", max_age=0, path="/", secure=True, httponly=True, samesite="Lax")
        return
    response.set_cookie(
        COOKIE, _signed(flows), max_age=LIFETIME_S, path="/", secure=True, httponly=True, samesite="Lax"
    )


def _signed(flows: list[Flow]) -> str:
    return signing.dumps([astuple(flow) for flow in flows], salt=SALT, compress=True)
