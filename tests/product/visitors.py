"""Browsers as tests drive them: through the console's door, and through the real issuer's."""

import re
from urllib.parse import parse_qs, urlsplit

import httpx2
from django.conf import settings
from django.http import HttpResponse
from django.test import Client

from audit.models import Event
from envforge import tenancy
from orgs import sessions
from orgs.console.door import COOKIE
from orgs.console.sign_in import PROBLEMS
from orgs.identity import Identity
from orgs.models import Person

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def anonymous(*, checks_csrf: bool = False) -> Client:
    """A browser that has never been here."""
    return Client(
        enforce_csrf_checks=checks_csrf,
        headers={"host": settings.CONSOLE_HOST, "user-agent": FIREFOX, "accept": "text/html"},
    )


def signed_in(person: Person) -> Client:
    """A browser in which the person is signed in, without the way through the issuer."""
    identity = Identity(
        issuer=person.issuer,
        subject=person.subject,
        email=person.email,
        email_verified=person.email_verified,
        name=person.name,
    )
    _, key = sessions.start_session(identity=identity, browser="Firefox on Linux")
    browser = anonymous()
    browser.cookies[COOKIE] = key
    return browser


def at_issuer() -> httpx2.Client:
    """The same browser's view of the issuer, with its cookies there."""
    return httpx2.Client(timeout=10)


def choose(issuer: httpx2.Client, address: str, login: str) -> str:
    """Go to the issuer and press a person's button (or `cancel`); answers where the browser is sent then."""
    shown = issuer.get(address)
    if shown.status_code == 303:
        return shown.headers["location"]
    form = re.search(r'name="form" value="([^"]+)"', shown.text)
    assert form, shown.text
    pressed = {"cancel": "1"} if login == "cancel" else {"login": login}
    there = f"{settings.AUTH0_ISSUER.rstrip('/')}/u/login"
    answered = issuer.post(there, data={"form": form[1], **pressed})
    assert answered.status_code == 303, answered.text
    return answered.headers["location"]


def inside(address: str) -> str:
    """The path and query of an address of the console's own; any other fails."""
    assert address.startswith((settings.CONSOLE_URL + "/", "/")), address
    assert not address.startswith("//")
    return address.removeprefix(settings.CONSOLE_URL)


def sign_in(browser: Client, login: str, **wishes: str) -> HttpResponse:
    """The whole way: console, issuer, a choice, and the callback; answers what the callback said."""
    started = browser.get("/auth/start", wishes)
    assert started.status_code == 302, started.headers
    with at_issuer() as issuer:
        back = choose(issuer, started["location"], login)
    return browser.get(inside(back))  # type: ignore[return-value]


def parameters(address: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def person_of(login: str) -> Person:
    return Person.objects.get(issuer=settings.AUTH0_ISSUER, subject=f"auth0|{login}")


def platform_events(kind: str, person: Person) -> list[Event]:
    with tenancy.enter(tenancy.PLATFORM):
        return list(Event.objects.filter(kind=kind, target_id=str(person.id)).order_by("at"))


def is_signed_in(browser: Client) -> bool:
    return browser.get("/account").status_code == 200


def refused(browser: Client, reason: str, answer: object) -> None:
    """The browser ends at a page that explains, at an address without code or state, and is not signed in."""
    assert answer.status_code == 303  # type: ignore[attr-defined]
    address = answer["location"]  # type: ignore[index]
    assert set(parameters(address)) <= {"problem", "next", "organization"}
    assert parameters(address)["problem"] == reason
    page = browser.get(address)
    title, words = PROBLEMS[reason]
    assert page.status_code == 200
    assert title in page.text
    assert words in page.text
    assert not is_signed_in(browser)


NOWHERE = "http://localhost:1/"
