"""The hosts people come to: the console, and support's own (N3). Each has its addresses, its cookie and its sign-in; nothing
of one works at the other."""

from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest
from django.http.request import split_domain_port

from envforge.actor import Target
from envforge.middleware import Middleware


@dataclass(frozen=True, slots=True)
class Surface:
    """One host for people, and the session cookie that is good there alone."""

    name: str
    cookie: str
    title: str

    @property
    def url(self) -> str:
        address: str = settings.ADMIN_URL if self is ADMIN else settings.CONSOLE_URL
        return address

    def as_target(self) -> Target:
        return Target("surface", self.name, f"the {self.title}")


CONSOLE = Surface("console", "__Host-envforge-console", "console")
ADMIN = Surface("admin", "__Host-envforge-admin", "support console")


def surface_named(name: str) -> Surface:
    """The surface that a session was begun at."""
    return ADMIN if name == ADMIN.name else CONSOLE


def surface_of(request: HttpRequest) -> Surface:
    """The surface whose host was asked."""
    host, _ = split_domain_port(request.get_host())
    return ADMIN if settings.ADMIN_HOST and host == settings.ADMIN_HOST else CONSOLE


class SurfaceMiddleware(Middleware):
    """Gives support's host its own addresses; those of the one host do not exist at the other."""

    def before(self, request: HttpRequest) -> None:
        if surface_of(request) is ADMIN:
            request.urlconf = "envforge.admin_urls"
