"""What every page of the console begins and ends with: who is signed in, and the frame around what they see."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from envforge.surfaces import CONSOLE, surface_of
from orgs import selectors, sessions
from orgs.selectors import AboutOrganization, Visitor

COOKIE = CONSOLE.cookie
# A dev host's address with a path of 2,000 characters, escaped once more; a sign-in remembers what its cookie has room for.
MAX_NEXT_LENGTH = 4000
# Organizations to switch to, on every page; the start page has them all.
MOST_OTHERS = 8

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]


def recognise(request: HttpRequest, *, in_use: bool = True) -> Visitor | str:
    """Who is signed in at this host; else the cause for which this browser's session no longer works, empty if it has none.

    Args:
        in_use: whether a person asks; what a page asks by itself must not keep a session from ending unused.
    """
    surface = surface_of(request)
    key = request.COOKIES.get(surface.cookie)
    visitor = selectors.visitor(key=key, surface=surface.name) if key else ""
    if in_use and isinstance(visitor, Visitor):
        sessions.see_session(session=visitor.session)
    return visitor


def is_live(request: HttpRequest) -> bool:
    """Whether a page asks by itself what has become of it (static/js/live.js), and not a person."""
    return request.headers.get("X-Live") == "1"


def signed_in(view: "Callable[Concatenate[HttpRequest, Visitor, P], HttpResponse]") -> "View[P]":
    """Give the view its visitor; send everybody else to the sign-in page, whatever there is behind the address."""

    @wraps(view)
    def door(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        visitor = recognise(request, in_use=not is_live(request))
        if isinstance(visitor, Visitor):
            return view(request, visitor, *args, **kwargs)
        back = request.get_full_path() if request.method in {"GET", "HEAD"} else ""
        return to_sign_in(next=back, problem=visitor)

    return cast("View[P]", door)  # what `wraps` returns is one in all but name


def to_sign_in(**told: str) -> HttpResponseRedirect:
    """The sign-in page, with where to go on and what is to be said."""
    given = {name: value for name, value in told.items() if value}
    return see_other(reverse("sign-in") + (f"?{urlencode(given)}" if given else ""))


def see_other(address: str) -> HttpResponseRedirect:
    """After a form: the next page is fetched by GET."""
    return HttpResponseRedirect(address, status=303)


def safe_next(wanted: str) -> str:
    """The address within the console that was asked for; the start page in place of any other."""
    inside = url_has_allowed_host_and_scheme(wanted, allowed_hosts=None) and wanted.isprintable()
    if not inside or not wanted.startswith("/") or len(wanted) > MAX_NEXT_LENGTH:
        return "/"
    # A sign-in that leads to a sign-in would never end.
    return "/" if wanted.startswith(("/auth/", reverse("sign-in"))) else wanted


def page(
    request: HttpRequest,
    visitor: Visitor,
    template: str,
    context: dict[str, Any] | None = None,
    *,
    about: AboutOrganization | None = None,
    status: int = 200,
) -> HttpResponse:
    """A page in the frame, with the navigation of the organization that it is about, if it is about one."""
    organization = about.organization if about else None
    besides = organization.id if organization else None
    may_open = selectors.pages(actor=visitor.actor, org_id=organization.id) if organization else frozenset()
    others = selectors.organizations(actor=visitor.actor, besides=besides, at_most=MOST_OTHERS + 1)
    framed = {
        "me": visitor.person,
        "organization": organization,
        "may_open": may_open,
        "others": others[:MOST_OTHERS],
        "more_others": len(others) > MOST_OTHERS,
        **(context or {}),
    }
    response = render(request, template, framed, status=status)
    # The form that signs out ends at the issuer, and browsers hold a form's redirects to form-action too.
    issuer = urlsplit(settings.AUTH0_ISSUER)
    response._csp_update = {"form-action": [f"{issuer.scheme}://{issuer.netloc}"]}  # type: ignore[attr-defined]  # noqa: SLF001
    return response
