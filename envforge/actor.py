"""Who acts. Every operation takes an actor, and every event names one.

A dev session is not an actor: a reviewer's browser can never be passed to an operation.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Somebody or something that acts; the label is what people read in the timeline."""

    kind: ClassVar[str]
    id: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UserActor(Actor):
    """A person, signed in to the console."""

    kind: ClassVar[str] = "user"
    person_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemActor(Actor):
    """A part of EnvForge itself: a reconciler, a sweep, an operator's command."""

    kind: ClassVar[str] = "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class SupportActor(Actor):
    """Support staff inside an organization, by the visit for which they gave a reason and a ticket."""

    kind: ClassVar[str] = "support"
    person_id: UUID
    visit_id: UUID
    reason: str
    ticket: str


SYSTEM = SystemActor(id="system", label="EnvForge")


@dataclass(frozen=True, slots=True)
class Target:
    """What was acted upon, copied into the event so that history outlives its subject."""

    kind: str
    id: str
    label: str
    workspace_id: UUID | None = None


class HasTarget(Protocol):
    """A row that can stand in an event or a refusal."""

    def as_target(self) -> Target: ...
