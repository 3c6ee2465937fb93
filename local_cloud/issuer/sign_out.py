"""Signing out at a client's wish (OpenID Connect RP-Initiated Logout 1.0)."""

import json

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from local_cloud.issuer import pages
from local_cloud.issuer.authorization import with_query
from local_cloud.issuer.clients import Client
from local_cloud.issuer.issuer import BROWSER_COOKIE, SESSION_COOKIE, Issuer, issuer_of, session_of
from local_cloud.issuer.parameters import Parameters, UnreadableFormError, read_either, read_form
from local_cloud.issuer.sign_in import browser_secret, show_form

_PURPOSE = "sign-out"


class LogoutRefusedError(Exception):
    """The request names something that is not registered or not ours. The message is for people."""


async def logout(request: Request) -> Response:
    """The end session endpoint: at once with a good `id_token_hint`, after asking the person without one."""
    issuer = issuer_of(request)
    try:
        parameters = await read_either(request)
        hint = _hint(parameters, issuer)
        client = _client(parameters, hint, issuer)
        destination = _destination(parameters, client)
    except (LogoutRefusedError, UnreadableFormError) as error:
        return pages.message(
            title="This sign-out cannot start",
            text=str(error),
            next_step="Nobody was signed out. Go back to the application and sign out from there.",
            status_code=400,
        )
    signed_in = session_of(request)
    if hint is not None:
        # The hint names the session, so this works where the browser sends no cookie (a POST from another site).
        issuer.store.end_session(hint["sid"])
        if signed_in is not None and signed_in[1].sub == hint["sub"]:
            issuer.store.end_session(signed_in[0].sid)
            signed_in = None
    if signed_in is None:
        return _done(destination)
    browser = browser_secret(request)
    form = issuer.store.put_form(browser=browser, purpose=_PURPOSE, request=json.dumps(destination))
    response = pages.page(
        "sign_out.html",
        leads_to=client.post_logout_redirect_uris if client else (),
        client=client,
        form=form,
        person=signed_in[1],
    )
    return show_form(request, response, browser)


async def answer(request: Request) -> Response:
    """The answer to “Sign out?”."""
    issuer = issuer_of(request)
    try:
        form = await read_form(request)
    except UnreadableFormError:
        form = Parameters({}, frozenset())
    browser = request.cookies.get(BROWSER_COOKIE)
    kept = issuer.store.take_form(form.get("form") or "", browser=browser or "", purpose=_PURPOSE)
    if kept is None:
        return pages.message(
            title="Nobody was signed out",
            text="This page was answered before, is too old, or was shown in another browser.",
            next_step="Go back to the application and sign out from there.",
            status_code=400,
        )
    signed_in = session_of(request)
    if form.get("stay") is not None and signed_in is not None:
        return pages.message(title=f"Still signed in as {signed_in[1].name}", text="You can close this page.")
    if signed_in is not None:
        issuer.store.end_session(signed_in[0].sid)
    return _done(json.loads(kept))


def _hint(parameters: Parameters, issuer: Issuer) -> dict[str, str] | None:
    if parameters.repeated:
        raise LogoutRefusedError(f"Sent more than once: {', '.join(sorted(parameters.repeated))}.")
    token = parameters.get("id_token_hint")
    if token is None:
        return None
    claims = issuer.keys.read_own_token(token, issuer=issuer.url)
    if claims is None:
        raise LogoutRefusedError("The id_token_hint is not an ID token of this issuer.")
    return claims


def _client(parameters: Parameters, hint: dict[str, str] | None, issuer: Issuer) -> Client | None:
    client_id = parameters.get("client_id")
    if hint is not None:
        if client_id not in (None, hint["aud"]):
            raise LogoutRefusedError("The id_token_hint was given to another client than client_id says.")
        client_id = hint["aud"]
    if client_id is None:
        return None
    client = issuer.clients.get(client_id)
    if client is None:
        raise LogoutRefusedError(
            f"No client “{client_id}” is registered. The clients file lists those that are."
        )
    return client


def _destination(parameters: Parameters, client: Client | None) -> str | None:
    address = parameters.get("post_logout_redirect_uri")
    if address is None:
        return None
    if client is None:
        raise LogoutRefusedError(
            "A post_logout_redirect_uri needs an id_token_hint or a client_id beside it."
        )
    if address not in client.post_logout_redirect_uris:
        raise LogoutRefusedError(
            f"“{address}” is not one of the post_logout_redirect_uris of {client.name}. They must match to the letter."
        )
    return with_query(address, {}, parameters.get("state"))


def _done(destination: str | None) -> Response:
    response: Response
    if destination is None:
        response = pages.message(title="You are signed out", text="You can close this page.")
    else:
        response = RedirectResponse(destination, 303)
    response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="lax")
    return response
