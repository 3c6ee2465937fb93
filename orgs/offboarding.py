"""Closing everything a member holds, in one action with one receipt (I4).

Apps above this one register what they close; each answers a count, which stands in the receipt and in the event.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from django.utils import timezone

from envforge.actor import Actor
from orgs.models import Membership, RoleGrant, ServiceAccount, Token

Held = Literal[
    "sessions", "tokens", "certificates", "dev_links", "dev_links_handed_over", "dev_sessions", "root_grants"
]
HELD: tuple[Held, ...] = (
    "sessions",
    "tokens",
    "certificates",
    "dev_links",
    "dev_links_handed_over",
    "dev_sessions",
    "root_grants",
)


@dataclass(frozen=True, slots=True)
class Closing:
    """Whose things are closed, by whom; `for_good` where the member leaves, not where they are suspended."""

    actor: Actor
    membership: Membership
    for_good: bool


Closer = Callable[[Closing], int]
_closers: list[tuple[Held, Closer]] = []


def on_offboarding(held: Held, closer: Closer) -> None:
    """Register what closes one kind of thing a member holds; it runs in the transaction of the removal or suspension."""
    _closers.append((held, closer))


def close_everything(closing: Closing) -> dict[Held, int]:
    """Close all of it; answers how many of each were closed."""
    closed: dict[Held, int] = dict.fromkeys(HELD, 0)
    for held, closer in _closers:
        closed[held] += closer(closing)
    return closed


def close_tokens(closing: Closing) -> int:
    """End the tokens whose secret the person has seen, and those of agents that act for them (N2)."""
    open_tokens = Token.objects.filter(ended_at=None)
    theirs = open_tokens.filter(issued_by_id=closing.membership.person_id)
    agents = open_tokens.filter(account__acts_for=closing.membership.person_id)
    count = (theirs | agents).update(ended_at=timezone.now())
    if closing.for_good:
        accounts = ServiceAccount.objects.filter(acts_for=closing.membership.person_id, removed_at=None)
        RoleGrant.objects.filter(service_account__in=accounts).delete()
        accounts.update(removed_at=timezone.now())
    return count
