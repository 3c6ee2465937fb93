"""Signing in and out (I1).

A sign-in begins with a link and not with a form: it writes nothing here, and browsers hold every redirect after a form
to `form-action`, which could not name the identity providers that an issuer passes people on to.
"""

import time

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.crypto import constant_time_compare
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST, require_safe

from envforge.errors import Unavailable
from envforge.surfaces import ADMIN, Surface, surface_of
from orgs import auth0, sessions
from orgs.browsers import describe
from orgs.console import flows
from orgs.console.door import recognise, safe_next, see_other, to_sign_in
from orgs.identity import SignInRefused
from orgs.selectors import Visitor
from orgs.sessions import IDLE_LIMIT, LIFETIME

MAX_WISH_LENGTH = 120

log = structlog.get_logger(__name__)

TRY_AGAIN = "Please sign in again."
# What the sign-in page says of each reason; of one that is not here, nothing.
PROBLEMS: dict[str, tuple[str, str]] = {
    "cancelled": ("You did not sign in", "The sign-in was cancelled, or you are not in the organization it was for. Nothing has happened here."),
    "state_unknown": ("That sign-in could not be continued", f"It was begun in another browser, more than 10 minutes ago, or answered before. {TRY_AGAIN}"),
    "code_refused": ("That sign-in could not be completed", f"The sign-in service did not accept it; perhaps the page was loaded twice. {TRY_AGAIN}"),
    "token_invalid": ("That sign-in could not be trusted", f"The answer of the sign-in service did not prove who you are. {TRY_AGAIN} If it stays, tell your administrator."),
    "organization_mismatch": ("That was another organization", "The sign-in service answered for another organization than was asked for. Sign in again, and choose the one you want."),
    "issuer_refused": ("The sign-in service refused", f"It gave no reason that you could act on. {TRY_AGAIN} If it stays, tell your administrator."),
    "unavailable": ("The sign-in service does not answer", "You are not signed in. This usually passes: wait a minute, then try again."),
    "inactive": ("Your account is not active", "It was closed or suspended. An owner or admin of your organization can tell you more."),
    "idle": ("You were signed out", f"Nobody used this session for {IDLE_LIMIT.seconds // 3600} hours."),
    "expired": ("You were signed out", f"A session lasts {LIFETIME.seconds // 3600} hours."),
    "ended_elsewhere": ("You were signed out", "This session was ended from another one of yours."),
    "removed": ("You were signed out", "You were removed from an organization, and every session of yours ended with that. Sign in to see what else you are in."),
    "suspended": ("You were signed out", "An organization suspended you, and every session of yours ended with that. One of its owners or admins can tell you more."),
    "issuer_stays": ("You are signed out here", "The sign-in service could not be told, so in this browser it may still know you. On a shared computer, close the browser."),
}  # fmt: skip


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """The page with the sign-in button, and with words on why one is here."""
    if isinstance(recognise(request), Visitor):
        return see_other(safe_next(request.GET.get("next", "")))
    door = "Sign in to EnvForge support" if surface_of(request) is ADMIN else "Sign in to EnvForge"
    title, words = PROBLEMS.get(request.GET.get("problem", ""), (door, ""))
    wishes = {"next": safe_next(request.GET.get("next", "")), "organization": _wish(request, "organization")}
    context = {"title": title, "words": words, "start": reverse("auth-start", query=_given(wishes))}
    return render(request, "sign_in.html", context)


@require_safe
def start(request: HttpRequest) -> HttpResponse:
    """To the issuer."""
    wanted, organization = safe_next(request.GET.get("next", "")), _wish(request, "organization")
    try:
        begun = auth0.start(
            redirect_uri=_callback_address(surface_of(request)),
            organization=organization,
            login_hint=_wish(request, "login_hint"),
        )
    except Unavailable:
        return to_sign_in(problem="unavailable", next=wanted, organization=organization)
    response = HttpResponseRedirect(begun.address)
    flow = flows.Flow(begun.state, begun.nonce, begun.verifier, wanted, organization, int(time.time()))
    flows.remember(request, response, flow)
    return response


@require_safe
@sensitive_variables()
def callback(request: HttpRequest) -> HttpResponse:
    """Back from the issuer, with a code or with a refusal; either way the address one ends at holds neither."""
    state, surface = request.GET.get("state", ""), surface_of(request)
    flow = next((one for one in flows.begun(request) if constant_time_compare(one.state, state)), None)
    if flow is None:
        # Also what the back button leads to after a sign-in that came about.
        if isinstance(recognise(request), Visitor):
            return see_other("/")
        sessions.refuse_sign_in(reason="state_unknown", surface=surface)
        return to_sign_in(problem="state_unknown")
    response: HttpResponse
    try:
        response = _admit(request, flow)
    except SignInRefused as refused:
        if refused.reason != "inactive":  # that one is recorded with its person
            sessions.refuse_sign_in(reason=refused.reason, surface=surface)
        response = to_sign_in(problem=refused.reason, next=flow.next, organization=flow.organization)
    except Unavailable:
        sessions.refuse_sign_in(reason="unavailable", surface=surface)
        response = to_sign_in(problem="unavailable", next=flow.next, organization=flow.organization)
    flows.forget(request, response, flow.state)
    return response


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session here, then the issuer's."""
    surface, visitor = surface_of(request), recognise(request)
    if isinstance(visitor, Visitor):
        sessions.end_session(actor=visitor.actor, session_id=visitor.session.id, cause="signed_out")
    response: HttpResponse
    try:
        address = auth0.sign_out_address(surface.url + "/")
        response = see_other(address) if address else to_sign_in(problem="issuer_stays")
    except Unavailable:
        response = to_sign_in(problem="issuer_stays")
    _set_key(response, surface, "", max_age_s=0)
    return response


def _admit(request: HttpRequest, flow: flows.Flow) -> HttpResponse:
    surface = surface_of(request)
    error, issuer = request.GET.get("error"), request.GET.get("iss")
    if error:
        raise SignInRefused("cancelled" if error == "access_denied" else "issuer_refused")
    if issuer is not None and issuer != settings.AUTH0_ISSUER:  # RFC 9207: another issuer's answer
        raise SignInRefused("token_invalid")
    identity = auth0.finish(
        code=request.GET.get("code", ""),
        redirect_uri=_callback_address(surface),
        nonce=flow.nonce,
        verifier=flow.verifier,
        organization=flow.organization,
    )
    before = recognise(request)
    _, key = sessions.start_session(
        identity=identity, browser=describe(request.headers.get("User-Agent", "")), surface=surface
    )
    if isinstance(before, Visitor):
        sessions.end_session(actor=before.actor, session_id=before.session.id, cause="signed_in_again")
    response = see_other(flow.next)
    _set_key(response, surface, key, max_age_s=int(LIFETIME.total_seconds()))
    return response


def _set_key(response: HttpResponse, surface: Surface, key: str, *, max_age_s: int) -> None:
    response.set_cookie(
        surface.cookie, key, max_age=max_age_s, path="/", secure=True, httponly=True, samesite="Lax"
    )


def _callback_address(surface: Surface) -> str:
    return f"{surface.url}{reverse('auth-callback')}"


def _wish(request: HttpRequest, name: str) -> str:
    wish = request.GET.get(name, "")
    return wish if wish.isprintable() and len(wish) <= MAX_WISH_LENGTH else ""


def _given(wishes: dict[str, str]) -> dict[str, str]:
    return {name: wish for name, wish in wishes.items() if wish and wish != "/"}
