"""The base of our middleware: one class for Django's synchronous and asynchronous chains."""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase


class Middleware:
    """Does something `before` a request and `after` its response; both must be quick and must not wait.

    Django turns exceptions into responses inside of each middleware, so `after` is always reached.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def before(self, request: HttpRequest) -> None:
        """Nothing, unless a middleware has something to do here."""

    def after(self, response: HttpResponseBase) -> None:
        """Nothing, unless a middleware has something to do here."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self._answer(request)
        self.before(request)
        response: HttpResponseBase = self.get_response(request)
        self.after(response)
        return response

    async def _answer(self, request: HttpRequest) -> HttpResponseBase:
        self.before(request)
        response: HttpResponseBase = await self.get_response(request)
        self.after(response)
        return response
