"""Who visits, and what a kind of address answers each of them; the table itself is in `reach.py`."""

from dataclasses import dataclass, field
from typing import Any

# Everybody in Acme but the stranger, who owns another organization; the program is Acme's, with an admin's role and every
# scope an owner can give; support is Sam, on a visit to Acme.
VISITORS = (
    *("anonymous", "stranger", "owner", "admin", "developer", "viewer", "billing"),
    *("suspended", "support", "program"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """An address, how it is asked, and the status each visitor gets."""

    name: str
    method: str
    address: str
    statuses: dict[str, int]
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return f"{self.method} {self.name}"


def same(status: int, **others: int) -> dict[str, int]:
    """One status for all but the named."""
    return dict.fromkeys(VISITORS, status) | others


def members(status: int, **others: int) -> dict[str, int]:
    """For every member; nothing for those outside, and the way to sign in for who is not signed in."""
    outside = {"anonymous": 303, "program": 303, "stranger": 404, "suspended": 404, "support": 404}
    return dict.fromkeys(VISITORS, status) | outside | others


def managers(status: int, **others: int) -> dict[str, int]:
    """For owner and admin; a refusal that names its rule for the other members."""
    return members(403) | {"owner": status, "admin": status} | others


def workers(status: int, **others: int) -> dict[str, int]:
    """For owner, admin and developer."""
    return managers(status) | {"developer": status} | others


def lookers(status: int, **others: int) -> dict[str, int]:
    """For every member but billing."""
    return members(status, billing=403) | others


def of_secret(status: int, developer: int | None = None) -> dict[str, int]:
    """For owner, admin and, as told, developer; to others a secret is not there."""
    return members(404, owner=status, admin=status, developer=status if developer is None else developer)


def of_workspace(status: int, *, viewer: int = 403, developer: int | None = None) -> dict[str, int]:
    """For owner, admin, developer and, as told, viewer, who all see workspaces; to billing it is not there."""
    worker = status if developer is None else developer
    return members(404, owner=status, admin=status, developer=worker, viewer=viewer)


def of_project(status: int) -> dict[str, int]:
    """For every member but billing, to whom a project is not there."""
    return members(status, billing=404)


def maintainers(status: int) -> dict[str, int]:
    """For owner and admin; the project's other viewers are told the rule."""
    return members(403, owner=status, admin=status, billing=404)


def people(status: int, **others: int) -> dict[str, int]:
    """For whoever is signed in, in whatever organization."""
    return same(status) | {"anonymous": 303, "program": 303} | others


def api(status: int, **others: int) -> dict[str, int]:
    """For every member and the program; others are told to sign in, or that there is nothing."""
    return members(status) | {"anonymous": 401, "program": status} | others


def api_managers(status: int) -> dict[str, int]:
    return api(403, owner=status, admin=status, program=status)


def api_workers(status: int) -> dict[str, int]:
    return api_managers(status) | {"developer": status}


def api_of_secret(status: int, developer: int | None = None) -> dict[str, int]:
    return of_secret(status, developer) | {"anonymous": 401, "program": status}


def api_of_workspace(status: int, *, viewer: int = 403, developer: int | None = None) -> dict[str, int]:
    return of_workspace(status, viewer=viewer, developer=developer) | {"anonymous": 401, "program": status}


def api_of_project(status: int) -> dict[str, int]:
    return of_project(status) | {"anonymous": 401, "program": status}


def api_maintainers(status: int) -> dict[str, int]:
    return maintainers(status) | {"anonymous": 401, "program": status}


def for_staff(status: int) -> dict[str, int]:
    """At support's host: for staff alone; whoever else signs in there is told the rule."""
    return same(403, anonymous=303, program=303, support=status)
