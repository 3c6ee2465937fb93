"""What every doorway of the issuer needs, carried by the application's state."""

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request

from local_cloud.issuer.cast import ORGANIZATION_NAMES, Person, by_sub
from local_cloud.issuer.clients import Client
from local_cloud.issuer.keys import KeyRing
from local_cloud.issuer.store import Session, Store

SESSION_COOKIE = "issuer_session"
BROWSER_COOKIE = "issuer_browser"


@dataclass(frozen=True, slots=True)
class Issuer:
    """`url` is the issuer identifier exactly as clients know it, trailing slash or none included."""

    url: str
    clients: Mapping[str, Client]
    store: Store
    keys: KeyRing

    def address(self, path: str) -> str:
        return self.url.rstrip("/") + path

    @property
    def cookies_are_secure(self) -> bool:
        return self.url.startswith("https://")


def issuer_of(request: Request) -> Issuer:
    issuer = request.app.state.issuer
    if not isinstance(issuer, Issuer):
        raise TypeError("the application was built without an issuer")
    return issuer


def session_of(request: Request) -> tuple[Session, Person] | None:
    """The browser's session and its person, if it is signed in as somebody who is still in the cast."""
    session = issuer_of(request).store.session(request.cookies.get(SESSION_COOKIE))
    person = by_sub(session.sub) if session else None
    return (session, person) if session and person else None


def organization_slug(named: str) -> str | None:
    """The organization that an `organization` parameter names, by Auth0's id (`org_acme`) or name (`acme`)."""
    slug = named.removeprefix("org_").lower()
    return slug if slug in ORGANIZATION_NAMES else None


def person_claims(person: Person, *, scope: str, organization: str | None) -> dict[str, object]:
    """Claims about a person that a scope opens (OpenID Connect Core 5.4), and Auth0's organization claims."""
    claims: dict[str, object] = {"sub": person.sub}
    scopes = scope.split()
    if "profile" in scopes:
        claims |= {"name": person.name, "nickname": person.login}
    if "email" in scopes:
        claims |= {"email": person.email, "email_verified": person.email_verified}
    if organization is not None:
        claims |= {"org_id": f"org_{organization}", "org_name": organization}
    return claims
