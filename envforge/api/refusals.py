"""Errors of the API as the one problem+json that every door answers."""

from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.exceptions import APIException, NotAuthenticated, PermissionDenied, Throttled

from envforge import problems
from envforge.api.rules import CHALLENGE
from envforge.database_errors import as_unavailable
from envforge.errors import EnvForgeError


def to_problem(error: Exception, context: dict[str, Any]) -> HttpResponseBase | None:
    """The one answer to each error: problem+json, as everywhere else."""
    request: HttpRequest = context["request"]._request  # noqa: SLF001 - problems speak Django's request
    ours = error if isinstance(error, EnvForgeError) else as_unavailable(error)
    if ours is not None:
        return problems.from_error(request, ours)
    if not isinstance(error, APIException):
        return None
    title, detail = _words(error)
    rule = "csrf" if isinstance(error, PermissionDenied) else ""
    response = problems.respond(request, status=error.status_code, title=title, detail=detail, rule=rule)
    if isinstance(error, NotAuthenticated):
        response["WWW-Authenticate"] = CHALLENGE
    if isinstance(error, Throttled):
        # Its stubs know nothing of the seconds.
        response["Retry-After"] = str(max(1, round(getattr(error, "wait", None) or 1)))
    return response


def _words(error: APIException) -> tuple[str, str]:
    if isinstance(error, NotAuthenticated):
        return "Not signed in", "Sign in, or send a token, and ask again."
    if isinstance(error, Throttled):
        return (
            "Too many requests",
            "You ask faster than this address answers. Wait as long as Retry-After says.",
        )
    return problems.phrase(error.status_code), str(error.detail)
