"""How the API knows who asks. Each authenticator answers an actor; the setting DEFAULT_AUTHENTICATION_CLASSES lists them."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from envforge.actor import Actor
from envforge.api.rules import CHALLENGE
from orgs import tokens
from orgs.console.door import recognise
from orgs.selectors import Visitor


class _Csrf(CsrfViewMiddleware):
    """Django's check, asked for its reason instead of for a page."""

    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason


class ServiceAccountToken(BaseAuthentication):
    """A service account's token, as `Authorization: Bearer …` (RFC 6750)."""

    def authenticate(self, request: Request) -> tuple[Actor, None] | None:
        scheme, _, held = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        actor = tokens.actor_of(held.strip())
        if actor is None:
            raise AuthenticationFailed("This token is unknown, has expired or was revoked. Issue another.")
        return actor, None

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class ConsoleSession(BaseAuthentication):
    """The console's own session; what could change something must carry the console's CSRF token, too."""

    def authenticate(self, request: Request) -> tuple[Actor, Visitor] | None:
        visitor = recognise(request._request)  # noqa: SLF001 - cookies are Django's
        if not isinstance(visitor, Visitor):
            return None
        self._require_own_form(request)
        return visitor.actor, visitor

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE

    def _require_own_form(self, request: Request) -> None:
        def answer(_: HttpRequest) -> HttpResponse:
            return HttpResponse()

        check = _Csrf(answer)
        check.process_request(request._request)  # noqa: SLF001
        if check.process_view(request._request, answer, (), {}):  # noqa: SLF001
            raise PermissionDenied("With a session, such a request needs the console's CSRF token.")
