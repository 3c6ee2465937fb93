"""Receipts of removals and suspensions, read again from the events that keep them (I4)."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from audit.kinds import EventKind
from audit.reads import record_read
from audit.selectors import event
from envforge.actor import Actor
from envforge.errors import NotVisible
from orgs import policy
from orgs.models import Organization
from orgs.offboarding import HELD, Held
from orgs.policy import Action
from orgs.selectors.organizations import visible

KINDS = {
    EventKind.MEMBER_SUSPENDED.wire_name: "suspended",
    EventKind.MEMBER_REMOVED.wire_name: "removed",
}


@dataclass(frozen=True, slots=True)
class ReceiptView:
    """What one act closed, whose that was, and who did it when; `request_id` is shared by the events of that act."""

    organization: Organization
    act: str
    name: str
    by: str
    own: bool
    at: datetime
    closed: dict[Held, int]
    request_id: str


def receipt(*, actor: Actor, slug: str, event_id: UUID) -> ReceiptView:
    """The receipt that this event keeps; a look at the audit, and recorded as such.

    Raises:
        NotVisible: as `organization`, or the event is none that keeps a receipt.
        NotAllowed: the actor may not read the audit.
    """
    with visible(actor, slug) as (found, _):
        policy.require(actor, Action.AUDIT_READ, found)
        kept = event(event_id)
        if kept is None or kept.kind not in KINDS:
            raise NotVisible
        record_read(actor=actor, target=found)
        return ReceiptView(
            found,
            KINDS[kept.kind],
            kept.target_label,
            kept.actor_label,
            kept.actor_id == kept.target_id,
            kept.at,
            {held: int(kept.facts.get(held, 0)) for held in HELD},
            kept.request_id,
        )
