"""What an organization allows of links: its own policy, or these defaults."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from devlinks.models import Issuers, LinkPolicy
from envforge_protocol.gateway.base import Surface

SHORTEST_S = 60
LONGEST_EVER_S = 90 * 24 * 3600
MOST_WAKES = 1000
MOST_AWAKE_S = 31 * 24 * 3600
SURFACES: tuple[str, ...] = tuple(one.value for one in Surface)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules that hold; the last two are of all links of one workspace together, in 24 hours (THREATS G5)."""

    longest_s: int = 7 * 24 * 3600
    issuers: Issuers = Issuers.WORKSPACE
    surfaces: tuple[str, ...] = SURFACES
    wakes_budget: int = 20
    awake_budget_s: int = 8 * 3600
    workspace_wakes: int = 60
    workspace_awake_s: int = 24 * 3600

    def as_columns(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _COLUMNS} | {"surfaces": list(self.surfaces)}


_COLUMNS = (
    *("longest_s", "issuers", "wakes_budget", "awake_budget_s"),
    *("workspace_wakes", "workspace_awake_s"),
)


def current() -> Rules:
    """The rules of the entered organization."""
    row = LinkPolicy.objects.first()
    if row is None:
        return Rules()
    return Rules(
        longest_s=row.longest_s,
        issuers=Issuers(row.issuers),
        surfaces=in_order(row.surfaces),
        wakes_budget=row.wakes_budget,
        awake_budget_s=row.awake_budget_s,
        workspace_wakes=row.workspace_wakes,
        workspace_awake_s=row.workspace_awake_s,
    )


def longest(allowed: Rules) -> timedelta:
    """How long after its issue a link may live."""
    return timedelta(seconds=allowed.longest_s)


def in_order(surfaces: Any) -> tuple[str, ...]:
    """Surfaces once each, in the order of the wire's."""
    return tuple(one for one in SURFACES if one in set(surfaces))
