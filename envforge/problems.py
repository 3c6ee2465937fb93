"""Errors as HTTP: once, for every door. Pages for people, `application/problem+json` (RFC 9457) for programs."""

import sys
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from envforge import request_id
from envforge.database_errors import as_unavailable
from envforge.errors import EnvForgeError, Invalid, NotAllowed, Unavailable, announce_denial
from envforge.middleware import Middleware

STATUS_DETAILS = {
    400: "The request could not be understood. Go back, reload the page and try again.",
    403: "You may not do this.",
    404: "There is nothing here, or nothing that you may see.",
    405: "This address does not take that kind of request.",
    500: "Something broke on our side. It has been recorded; please try again, and tell support the request id if it stays.",
}


def respond(
    request: HttpRequest,
    *,
    status: int,
    title: str,
    detail: str,
    fields: dict[str, str] | None = None,
    rule: str = "",
) -> HttpResponse:
    """The error as a page or as problem+json, whichever the client reads."""
    if wants_json(request):
        body: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        body["request_id"] = request_id.current()
        if fields:
            body["fields"] = fields
        if rule:
            body["rule"] = rule
        return JsonResponse(body, status=status, content_type="application/problem+json")
    context = {
        "status": status,
        "title": title,
        "detail": detail,
        "fields": fields,
        "rule": rule,
        "request_id": request_id.current(),
    }
    return render(request, "errors/problem.html", context, status=status)


def wants_json(request: HttpRequest) -> bool:
    """Programs say so by address (`/api/`) or by `Accept`; everybody else gets a page."""
    if request.path.startswith(("/api/", "/health/")):
        return True
    return request.get_preferred_type(["text/html", "application/json", "application/problem+json"]) not in {
        "text/html",
        None,
    }


def from_error(request: HttpRequest, error: EnvForgeError) -> HttpResponse:
    """Answer one of our errors; a refusal is announced first, its own transaction being rolled back by now."""
    rule = ""
    if isinstance(error, NotAllowed):
        announce_denial(error.denial)
        rule = error.denial.rule
    fields = error.fields if isinstance(error, Invalid) else None
    answer = respond(
        request, status=error.status, title=error.title, detail=error.detail, fields=fields, rule=rule
    )
    if isinstance(error, Unavailable):
        answer["Retry-After"] = str(error.RETRY_AFTER_S)
    return answer


class ProblemsMiddleware(Middleware):
    """Maps our errors and the database's to answers; anything else stays Django's, and becomes `server_error`."""

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        ours = error if isinstance(error, EnvForgeError) else as_unavailable(error)
        return from_error(request, ours) if ours is not None else None


def phrase(status: int) -> str:
    """The status in the words of HTTP."""
    return HTTPStatus(status).phrase


def _plain(request: HttpRequest, status: int) -> HttpResponse:
    return respond(request, status=status, title=phrase(status), detail=STATUS_DETAILS[status])


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _plain(request, 400)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _plain(request, 403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _plain(request, 404)


def server_error(request: HttpRequest) -> HttpResponse:
    # Django calls this while it handles the error: one of a middleware, say, that looks for the session.
    unavailable = as_unavailable(sys.exc_info()[1])
    return from_error(request, unavailable) if unavailable else _plain(request, 500)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    detail = "This form was open for too long, or came from another site. Go back, reload the page and send it again."
    return respond(request, status=403, title="The form could not be accepted", detail=detail, rule="csrf")
