"""The rules of every view of the API. REST framework reads them while it loads, so nothing here imports its views."""

from typing import TYPE_CHECKING, Any

from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from envforge.actor import Actor

if TYPE_CHECKING:
    from rest_framework.views import APIView

# What a 401 asks for.
CHALLENGE = 'Bearer realm="EnvForge"'


def actor_of(request: Request) -> Any:
    """What an authenticator answered: an actor, or None. To REST framework's types it is one of Django's users."""
    return request.user


class SignedIn(BasePermission):
    """Only actors come in. What they may do is asked below, by selectors and operations."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        return isinstance(actor_of(request), Actor)


class JsonAlone(BaseContentNegotiation):
    """The API answers JSON, whatever else a client would take."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        wanted = (request.content_type or "").partition(";")[0]
        return next((parser for parser in parsers if parser.media_type == wanted), None)

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type
