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

    @property
    def people(self) -> frozenset[UUID]:
        """The people whose act this is: a user, or the person an agent acts for."""
        return frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class UserActor(Actor):
    """A person, signed in to the console."""

    kind: ClassVar[str] = "user"
    person_id: UUID

    @property
    def people(self) -> frozenset[UUID]:
        return frozenset({self.person_id})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccountActor(Actor):
    """A program with a token. Its scopes narrow what its roles allow, and never widen it.

    An agent is a service account that acts for a named person: both stand in the audit.
    """

    kind: ClassVar[str] = "service_account"
    account_id: UUID
    org_id: UUID
    scopes: frozenset[str]
    acts_for: UUID | None = None

    @property
    def people(self) -> frozenset[UUID]:
        return frozenset({self.acts_for}) if self.acts_for else frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostActor(Actor):
    """The daemon on a VM of one organization, known by the token of this generation of it."""

    kind: ClassVar[str] = "host"
    host_id: UUID
    org_id: UUID
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SupportActor(Actor):
    """One of our staff, inside a visit to one organization that has a reason, a ticket and an end."""

    kind: ClassVar[str] = "support"
    person_id: UUID
    org_id: UUID
    visit_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemActor(Actor):
    """A part of EnvForge itself: a reconciler, a sweep, an operator's command."""

    kind: ClassVar[str] = "system"


SYSTEM = SystemActor(id="system", label="EnvForge")


@dataclass(frozen=True, slots=True)
class Target:
    """What was acted upon, copied into the event so that history outlives its subject."""

    kind: str
    id: str
    label: str
    workspace_id: UUID | None = None
    project_id: UUID | None = None


class HasTarget(Protocol):
    """A row that can stand in an event or a refusal."""

    def as_target(self) -> Target: ...
