"""Writing an event: inside the caller's transaction, so that no write commits without its event, nor the reverse."""

import json
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils import timezone

from audit.facts import FactRefused, name_text
from audit.kinds import EventKind
from envforge import metrics, request_id, tenancy
from envforge.actor import Actor, HasTarget, Target
from envforge.errors import TenancyError
from envforge.ids import uuid7

_INSERT = """
INSERT INTO audit_event (id, org_id, at, kind, actor_kind, actor_id, actor_label, target_kind, target_id, target_label,
                         workspace_id, request_id, facts)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


def append(kind: EventKind, *, actor: Actor, target: Target | HasTarget, **facts: Any) -> UUID:
    """Write an event of the entered organization; it gets its sequence number and hash within seconds, after commit.

    Args:
        kind: what happened; it declares which facts it may carry.
        actor: who did it.
        target: what it was done to; ids and labels are copied, so that history outlives its subject.
        facts: scalars by name; never a value, token, cookie or header (A2).

    Returns:
        The event's id.

    Raises:
        TenancyError: outside of a transaction, or of an organization.
        FactRefused: a fact or label that the kind does not declare or that does not fit; nothing is written.
    """
    return _append(tenancy.current_org(), kind, actor, target, facts)


def append_platform(kind: EventKind, *, actor: Actor, target: Target | HasTarget, **facts: Any) -> UUID:
    """Write an event of EnvForge itself or of its staff, into the platform's own chain; otherwise as `append`."""
    return _append(tenancy.PLATFORM, kind, actor, target, facts)


def _append(
    chain: UUID, kind: EventKind, actor: Actor, target: Target | HasTarget, facts: dict[str, Any]
) -> UUID:
    if not connection.in_atomic_block:
        raise TenancyError(
            f"{kind.wire_name} outside of a transaction: the event and what it tells of commit together."
        )
    subject = target if isinstance(target, Target) else target.as_target()
    event_id = uuid7()
    stored = kind.read_facts(facts)
    labels = [
        _label(kind, part, value)
        for part, value in (
            ("actor", actor.label),
            ("actor id", actor.id),
            ("target", subject.label),
            ("target id", subject.id),
        )
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            _INSERT,
            [
                *(event_id, chain, timezone.now(), kind.wire_name),
                *(actor.kind, labels[1], labels[0]),
                *(subject.kind, labels[3], labels[2]),
                *(subject.workspace_id, request_id.current(), json.dumps(stored)),
            ],
        )
    metrics.EVENTS_APPENDED.labels(kind=kind.wire_name).inc()
    return event_id


def _label(kind: EventKind, part: str, value: str) -> str:
    try:
        return name_text(value)
    except ValueError as wrong:
        raise FactRefused(f"{kind.wire_name}: the {part} {wrong}") from None
