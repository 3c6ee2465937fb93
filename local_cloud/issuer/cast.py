"""The people one can be on a local machine. Importable without any web framework."""

from dataclasses import dataclass

ORGANIZATION_NAMES: dict[str, str] = {"acme": "Acme", "mallet": "Mallet"}


@dataclass(frozen=True, slots=True)
class Person:
    """One member of the cast.

    `sub` never changes: the product knows people by (issuer, subject). `org` is the slug of the organization the
    person belongs to at the issuer, or None; `role` is a word for readers and grants nothing.
    """

    login: str
    name: str
    email: str
    email_verified: bool
    sub: str
    org: str | None
    role: str
    blurb: str


def _person(
    login: str, mail_domain: str, org: str | None, role: str, blurb: str, *, email_verified: bool = True
) -> Person:
    return Person(
        login=login,
        name=login.capitalize(),
        email=f"{login}@{mail_domain}",
        email_verified=email_verified,
        sub=f"auth0|{login}",
        org=org,
        role=role,
        blurb=blurb,
    )


CAST: tuple[Person, ...] = (
    _person("alice", "acme.test", "acme", "owner", "owns Acme"),
    _person("adam", "acme.test", "acme", "admin", "administers Acme"),
    _person("bob", "acme.test", "acme", "developer", "develops at Acme"),
    _person("vera", "acme.test", "acme", "viewer", "only views at Acme"),
    _person("bill", "acme.test", "acme", "billing", "sees billing at Acme"),
    _person("mallory", "mallet.test", "mallet", "owner", "owns Mallet"),
    _person("sam", "envforge.test", None, "staff", "supports customers"),
    _person("una", "acme.test", None, "newcomer", "has not verified her e-mail", email_verified=False),
    _person("nora", "acme.test", None, "newcomer", "is in no organization yet"),
)

_BY_LOGIN = {person.login: person for person in CAST}
_BY_SUB = {person.sub: person for person in CAST}


def by_login(login: str) -> Person | None:
    """The person with this login, if the cast has one."""
    return _BY_LOGIN.get(login)


def by_sub(sub: str) -> Person | None:
    """The person with this subject identifier, if the cast has one."""
    return _BY_SUB.get(sub)


def by_hint(hint: str) -> Person | None:
    """The person a `login_hint` means: an e-mail address or a login, in any case (OpenID Connect Core 3.1.2.1)."""
    wanted = hint.strip().lower()
    return next((person for person in CAST if wanted in (person.login, person.email)), None)
