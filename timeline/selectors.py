"""Reading an organization's audit, for those who may; each read is an event itself (A3)."""

from dataclasses import asdict, dataclass
from typing import Any

from audit import selectors as audit
from audit.export import read_checkpoint
from audit.filters import Filter
from audit.models import Checkpoint, Event
from audit.reads import record_read
from audit.selectors import PAGE_SIZE, ChainStatus, Named, Page
from envforge.actor import Actor
from envforge.cursors import Place
from orgs import policy
from orgs.models import Organization
from orgs.policy import Action, Answer
from orgs.selectors import visible

MOST_COUNTED = 100


@dataclass(frozen=True, slots=True)
class Timeline:
    """A page of the timeline, with what can be filtered by and how far all of it is sealed and signed."""

    organization: Organization
    events: list[Event]
    older: Place | None
    chain: ChainStatus
    actors: list[Named]
    targets: list[Named]
    export: Answer


@dataclass(frozen=True, slots=True)
class Chain:
    """How far an organization's chain is sealed and signed, and its newest checkpoint."""

    organization: Organization
    status: ChainStatus
    checkpoint: Checkpoint | None

    def as_json(self) -> dict[str, Any]:
        """The status, and the checkpoint as `envforge audit verify --expect` reads it."""
        signed = read_checkpoint(self.checkpoint).to_json() if self.checkpoint else None
        return {**asdict(self.status), "checkpoint": signed}


def timeline(*, actor: Actor, slug: str, wanted: Filter, before: Place | None = None) -> Timeline:
    """A page of the events that are wanted, the newest first.

    Raises:
        NotVisible: there is no such organization, or the actor is no member of it.
        NotAllowed: the actor may not read its audit.
    """
    with visible(actor, slug, Action.AUDIT_EXPORT) as (found, answers):
        policy.require(actor, Action.AUDIT_READ, found)
        # First, so that one's own look is on the page and does not arrive as news a moment later.
        record_read(actor=actor, target=found, filters=len(wanted.given()))
        page = audit.page(wanted, before=before)
        return Timeline(
            organization=found,
            events=page.events,
            older=page.older,
            chain=audit.chain_status(),
            actors=audit.recently_named("actor"),
            targets=audit.recently_named("target"),
            export=answers[Action.AUDIT_EXPORT],
        )


def arrived(*, actor: Actor, slug: str, wanted: Filter, after: Place) -> int:
    """How many of the wanted events came after this place, up to `MOST_COUNTED`; errors as `timeline`."""
    with visible(actor, slug) as (found, _):
        policy.require(actor, Action.AUDIT_READ, found)
        return audit.count_after(wanted, after=after, at_most=MOST_COUNTED)


def events(
    *, actor: Actor, slug: str, wanted: Filter, before: Place | None = None, size: int = PAGE_SIZE
) -> Page:
    """A page of the wanted events alone, the newest first; errors as `timeline`."""
    with visible(actor, slug) as (found, _):
        policy.require(actor, Action.AUDIT_READ, found)
        record_read(actor=actor, target=found, filters=len(wanted.given()))
        return audit.page(wanted, before=before, size=size)


def chain(*, actor: Actor, slug: str) -> Chain:
    """The state of an organization's chain; errors as `timeline`."""
    with visible(actor, slug) as (found, _):
        policy.require(actor, Action.AUDIT_READ, found)
        return Chain(found, audit.chain_status(), audit.last_checkpoint())
