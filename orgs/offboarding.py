"""Closing everything a member holds, in one action with one receipt (I4).

Each app registers what it lets people hold, in two halves over the same rows: one counts what would be closed, so that
the page can say so before anybody decides, and one closes it. Both counts stand under the same name, and what was
closed stands in the receipt and in the event.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args
from uuid import UUID

from envforge.actor import Actor
from orgs.models import Membership

Held = Literal[
    "sessions",
    "tokens",
    "agents",
    "invitations",
    "certificates",
    "dev_links",
    "dev_links_handed_over",
    "dev_sessions",
    "root_grants",
]
HELD: tuple[Held, ...] = get_args(Held)


@dataclass(frozen=True, slots=True)
class Closing:
    """Whose things are closed, by whom; `for_good` where the member leaves, not where they are suspended."""

    actor: Actor
    membership: Membership
    for_good: bool

    @property
    def person_id(self) -> UUID:
        return self.membership.person_id

    @property
    def cause(self) -> str:
        """Why each thing ended, as its own event says it."""
        return "member_removed" if self.for_good else "member_suspended"


Half = Callable[[Closing], int]


@dataclass(frozen=True, slots=True)
class Holding:
    """One kind of thing a member holds."""

    held: Held
    count: Half
    close: Half


_holdings: list[Holding] = []


def on_offboarding(held: Held, *, count: Half, close: Half, first: bool = False) -> None:
    """Register one kind of thing a member holds, from `AppConfig.ready`.

    Args:
        held: the name of its count; several may share one.
        count: how many `close` would close now; it changes nothing.
        close: closes them in the transaction of the removal or suspension, each with its own event, and answers how many.
        first: before what is registered already, since that, closing, would close some of these too.
    """
    _holdings.insert(0 if first else len(_holdings), Holding(held, count, close))


def count_everything(closing: Closing) -> dict[Held, int]:
    """How many of each would be closed now; writes nothing."""
    return _sums(closing, lambda holding: holding.count)


def close_everything(closing: Closing) -> dict[Held, int]:
    """Close all of it; answers how many of each were closed."""
    return _sums(closing, lambda holding: holding.close)


def _sums(closing: Closing, half: Callable[[Holding], Half]) -> dict[Held, int]:
    sums: dict[Held, int] = dict.fromkeys(HELD, 0)
    for holding in _holdings:
        sums[holding.held] += half(holding)(closing)
    return sums
