"""Browsers at support's host."""

from django.conf import settings
from django.test import Client

from envforge.actor import SYSTEM
from envforge.surfaces import ADMIN
from orgs import sessions, staff
from orgs.identity import Identity
from orgs.models import Organization, Person
from tests.product.visitors import FIREFOX

ADMIN_COOKIE = ADMIN.cookie
# Every address of support's that stands outside of an organization.
READ_PAGES = (
    *(
        "/",
        "/enter",
        "/lists/organizations/",
        "/lists/visits/",
        "/lists/staff/",
        "/lists/fleet/",
        "/lists/orphans/",
    ),
    "/jsi18n/",
)


def inside_pages(organization: Organization) -> tuple[str, ...]:
    """Every address of support's inside one."""
    return tuple(f"/o/{organization.id}/{page}" for page in ("", "members", "timeline"))


def stranger_to_support(*, checks_csrf: bool = False) -> Client:
    """A browser that has never been at support's host."""
    return Client(
        enforce_csrf_checks=checks_csrf,
        headers={"host": settings.ADMIN_HOST, "user-agent": FIREFOX, "accept": "text/html"},
    )


def support_browser(person: Person, *, checks_csrf: bool = False) -> Client:
    """A browser in which the person is signed in at support's host, staff or not."""
    identity = Identity(
        issuer=person.issuer,
        subject=person.subject,
        email=person.email,
        email_verified=person.email_verified,
        name=person.name,
    )
    _, key = sessions.start_session(identity=identity, browser="Firefox on Linux", surface=ADMIN)
    browser = stranger_to_support(checks_csrf=checks_csrf)
    browser.cookies[ADMIN_COOKIE] = key
    return browser


def staff_browser(person: Person, *, checks_csrf: bool = False) -> Client:
    """The same with a staff grant."""
    staff.grant_staff(actor=SYSTEM, person=person, days=7)
    return support_browser(person, checks_csrf=checks_csrf)


def enter(browser: Client, organization: Organization, reason: str = "The runtime does not wake") -> None:
    """Enter the organization by the form."""
    answer = browser.post("/enter", {"organization": organization.slug, "reason": reason, "ticket": "T-4711"})
    assert (answer.status_code, answer.headers.get("location")) == (303, f"/o/{organization.id}/"), (
        answer.text
    )
