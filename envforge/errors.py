"""What can go wrong in a way that a person should read, and who hears of refusals.

Operations and selectors raise these; `envforge.problems` alone turns them into HTTP.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from envforge.actor import Actor, Target


class EnvForgeError(Exception):
    """Base of all errors with words for a person: what was wrong, where, what to do next."""

    status: ClassVar[int] = 400
    title: ClassVar[str] = "That did not work"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class NotVisible(EnvForgeError):
    """The target does not exist, or not for this actor: the two look the same (I5)."""

    status = 404
    title = "Not found"

    def __init__(self) -> None:
        super().__init__("There is nothing here, or nothing that you may see.")


@dataclass(frozen=True, slots=True)
class Denial:
    """One refusal of something visible: who was refused what, and by which rule."""

    org_id: UUID
    actor: Actor
    action: str
    target: Target
    rule: str


class NotAllowed(EnvForgeError):
    """The actor may see the target but not do this to it; the rule says why (I2)."""

    status = 403
    title = "Not allowed"

    def __init__(self, denial: Denial, why: str) -> None:
        super().__init__(why)
        self.denial = denial


class Invalid(EnvForgeError):
    """Input that cannot be accepted; `fields` holds the reason beside each field's name."""

    status = 422
    title = "Please check what you entered"

    def __init__(self, detail: str, fields: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.fields = fields or {}


class Conflict(EnvForgeError):
    """What was asked contradicts the present state."""

    status = 409
    title = "That cannot be done now"


class Unavailable(EnvForgeError):
    """A part we need does not answer; asking again later is right."""

    status = 503
    title = "Not available at the moment"
    # What `Retry-After` says to programs.
    RETRY_AFTER_S: ClassVar[int] = 5


class TenancyError(RuntimeError):
    """A programming error at the walls between organizations; never a person's fault."""


DenialListener = Callable[[Denial], None]
_denial_listeners: list[DenialListener] = []


def on_denial(listener: DenialListener) -> None:
    """Register what hears of each refusal; called after the refused transaction rolled back."""
    _denial_listeners.append(listener)


def announce_denial(denial: Denial) -> None:
    for listener in _denial_listeners:
        listener(denial)
