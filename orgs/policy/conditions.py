"""What must hold besides a role: named, so that a refusal can say which rule refused."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from envforge.actor import Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a condition may ask of the target; the operation that asks the policy knows it.

    `belongs_to`: the person whose target it is. `involved`: the people who requested it, created the requesting account
    or hold its credential. `private`: whether public gateway traffic is closed. `root_mode`: the organization's root policy.
    """

    belongs_to: UUID | None = None
    involved: frozenset[UUID] = frozenset()
    private: bool = False
    root_mode: Literal["disabled", "break_glass", "elevation"] = "disabled"


@dataclass(frozen=True, slots=True)
class Condition:
    """A named test; `why` is what a refused person reads."""

    name: str
    why: str
    holds: Callable[[Actor, About], bool]


def own(actor: Actor, about: About) -> bool:
    """Whether the target is the actor's own."""
    return about.belongs_to is not None and about.belongs_to in actor.people


public = Condition(
    "private-workspace",
    "This workspace is reachable through the tailnet only; public access to it is closed.",
    lambda _, about: not about.private,
)
not_involved = Condition(
    "requester-is-not-approver",
    "Whoever asked, or holds the asking account's credential, cannot approve. Ask another admin.",
    lambda actor, about: not actor.people & about.involved,
)
root_open = Condition(
    "root-policy",
    "This organization's root policy is “disabled”. An owner can change it under Root policy.",
    lambda _, about: about.root_mode != "disabled",
)
