"""One id from the request through its tasks, log lines and events, so that each can be found from the other."""

import re
from contextvars import ContextVar
from typing import Any

import structlog
from celery.signals import before_task_publish, task_postrun, task_prerun
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from envforge.ids import uuid7
from envforge.middleware import Middleware

HEADER = "X-Request-ID"
TASK_HEADER = "envforge_request_id"
_FORM = re.compile(r"req_[0-9a-f]{32}")

_current: ContextVar[str] = ContextVar("envforge_request_id", default="")


def current() -> str:
    """The id of the request (or of the task it caused) that runs now; empty outside."""
    return _current.get()


def begin(request_id: str | None = None) -> str:
    """Start a unit of work under this id, or under a new one."""
    chosen = request_id if request_id and _FORM.fullmatch(request_id) else f"req_{uuid7().hex}"
    _current.set(chosen)
    structlog.contextvars.bind_contextvars(request_id=chosen)
    return chosen


def end() -> None:
    _current.set("")
    structlog.contextvars.unbind_contextvars("request_id")


class RequestIdMiddleware(Middleware):
    """Gives each request a new id and answers it in `X-Request-ID`.

    An id that a client sends is not taken over: it would let the client choose what stands in the audit.
    """

    def before(self, request: HttpRequest) -> None:
        begin()

    def after(self, response: HttpResponseBase) -> None:
        response[HEADER] = current()
        end()


@before_task_publish.connect
def _send_along(headers: dict[str, Any] | None = None, **_: Any) -> None:
    if headers is not None and current():
        headers[TASK_HEADER] = current()


@task_prerun.connect
def _take_over(task: Any = None, **_: Any) -> None:
    begin(task.request.get(TASK_HEADER))
    structlog.contextvars.bind_contextvars(task=task.name, task_id=task.request.id)


@task_postrun.connect
def _forget(**_: Any) -> None:
    end()
    structlog.contextvars.unbind_contextvars("task", "task_id")
