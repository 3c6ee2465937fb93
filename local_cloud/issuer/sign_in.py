"""Signing in: /authorize, the page on which one chooses who to be, and what follows from the choice."""

import re

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from local_cloud.issuer import authorization, pages
from local_cloud.issuer.authorization import (
    AuthorizationRefusedError,
    AuthorizationRequest,
    NotRedirectableError,
)
from local_cloud.issuer.cast import CAST, ORGANIZATION_NAMES, Person, by_hint, by_login
from local_cloud.issuer.issuer import BROWSER_COOKIE, SESSION_COOKIE, Issuer, issuer_of, session_of
from local_cloud.issuer.parameters import UnreadableFormError, read_either, read_form
from local_cloud.issuer.store import (
    FORM_LIFETIME_S,
    SESSION_LIFETIME_S,
    Grant,
    Session,
    new_secret_text,
)

_PURPOSE = "sign-in"
_BROWSER_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


async def authorize(request: Request) -> Response:
    """The authorization endpoint: grants at once where a session allows it, else asks who one is."""
    issuer = issuer_of(request)
    try:
        asked = authorization.check(await read_either(request), issuer.clients)
    except (NotRedirectableError, UnreadableFormError) as error:
        return pages.message(
            title="This sign-in cannot start",
            text=str(error),
            next_step="Nothing was sent to any application. Go back to the application and sign in from there.",
            status_code=400,
        )
    except AuthorizationRefusedError as refused:
        return RedirectResponse(refused.location, 303)
    signed_in = session_of(request)
    if signed_in is not None and _is_silent(asked, *signed_in, now=issuer.store.now()):
        return _grant(issuer, asked, *signed_in)
    if "none" in asked.prompt:
        return _refuse(asked, "login_required", "the person has to sign in, and the request forbids to ask")
    return _ask_who(request, asked, signed_in[1] if signed_in else None)


async def choose(request: Request) -> Response:
    """The answer to the page: one button per person, or cancel."""
    issuer = issuer_of(request)
    try:
        form = await read_form(request)
    except UnreadableFormError as error:
        return _stale(f"The answer could not be read: {error}.")
    login = form.get("login")
    person = by_login(login) if login else None
    if person is None and form.get("cancel") is None:
        return _stale("The answer names nobody who is in the cast.")
    browser = request.cookies.get(BROWSER_COOKIE)
    kept = issuer.store.take_form(form.get("form") or "", browser=browser or "", purpose=_PURPOSE)
    if kept is None:
        return _stale("This page was answered before, is too old, or was shown in another browser.")
    asked = AuthorizationRequest.from_json(kept)
    client = issuer.clients.get(asked.client_id)
    if client is None or asked.redirect_uri not in client.redirect_uris:
        return _stale("The application that asked is no longer registered with this address.")
    if person is None:
        return _refuse(asked, "access_denied", "the person did not want to sign in")
    if not _may_enter(asked, person):
        return _refuse(asked, "access_denied", "the person does not belong to the organization asked for")
    cookie, session = issuer.store.open_session(person.sub, replacing=request.cookies.get(SESSION_COOKIE))
    response = _grant(issuer, asked, session, person)
    response.set_cookie(
        SESSION_COOKIE,
        cookie,
        max_age=SESSION_LIFETIME_S,
        httponly=True,
        samesite="lax",
        secure=issuer.cookies_are_secure,
    )
    return response


def show_form(request: Request, response: Response, browser: str) -> Response:
    """Tie the forms of a page to the browser that gets it, so that no other site can answer them."""
    response.set_cookie(
        BROWSER_COOKIE,
        browser,
        max_age=FORM_LIFETIME_S,
        httponly=True,
        samesite="lax",
        secure=issuer_of(request).cookies_are_secure,
    )
    return response


def browser_secret(request: Request) -> str:
    """The browser's own secret, kept across tabs, or a new one."""
    have = request.cookies.get(BROWSER_COOKIE, "")
    return have if _BROWSER_SECRET.fullmatch(have) else new_secret_text()


def _is_silent(asked: AuthorizationRequest, session: Session, person: Person, *, now: int) -> bool:
    if "login" in asked.prompt or "select_account" in asked.prompt:
        return False
    # max_age=0 means "now" (OpenID Connect Core 3.1.2.1), also within the second of the last sign-in.
    if asked.max_age_s is not None and (asked.max_age_s == 0 or now - session.auth_time > asked.max_age_s):
        return False
    hinted = by_hint(asked.login_hint) if asked.login_hint else None
    return hinted is None or hinted == person


def _may_enter(asked: AuthorizationRequest, person: Person) -> bool:
    return asked.organization is None or person.org == asked.organization


def _grant(issuer: Issuer, asked: AuthorizationRequest, session: Session, person: Person) -> Response:
    if not _may_enter(asked, person):
        return _refuse(asked, "access_denied", "the person does not belong to the organization asked for")
    code = issuer.store.put_code(
        Grant(
            client_id=asked.client_id,
            redirect_uri=asked.redirect_uri,
            code_challenge=asked.code_challenge,
            nonce=asked.nonce,
            scope=asked.scope,
            organization=asked.organization,
            sub=session.sub,
            sid=session.sid,
            auth_time=session.auth_time,
        )
    )
    return RedirectResponse(asked.answer(code=code), 303)


def _refuse(asked: AuthorizationRequest, error: str, description: str) -> Response:
    return RedirectResponse(asked.answer(error=error, error_description=description), 303)


def _ask_who(request: Request, asked: AuthorizationRequest, current: Person | None) -> Response:
    issuer = issuer_of(request)
    client = issuer.clients[asked.client_id]
    browser = browser_secret(request)
    form = issuer.store.put_form(browser=browser, purpose=_PURPOSE, request=asked.to_json())
    hinted = by_hint(asked.login_hint) if asked.login_hint else None
    response = pages.page(
        "sign_in.html",
        leads_to=client.redirect_uris,
        client=client,
        form=form,
        expected=hinted or current,
        is_current=hinted is None or hinted == current,
        unknown_hint=asked.login_hint if hinted is None else None,
        organization=ORGANIZATION_NAMES[asked.organization] if asked.organization else None,
        groups=_groups(),
        outsiders={person.login for person in CAST if not _may_enter(asked, person)},
    )
    return show_form(request, response, browser)


def _groups() -> list[tuple[str, list[Person]]]:
    groups = [(name, [p for p in CAST if p.org == slug]) for slug, name in ORGANIZATION_NAMES.items()]
    groups.append(("EnvForge", [person for person in CAST if person.role == "staff"]))
    groups.append(("In no organization", [person for person in CAST if person.role == "newcomer"]))
    return groups


def _stale(text: str) -> Response:
    return pages.message(
        title="This sign-in was not completed",
        text=text,
        next_step="Nobody was signed in. Go back to the application and sign in from there.",
        status_code=400,
    )
