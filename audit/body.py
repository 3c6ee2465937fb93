"""An event's row as the body that is hashed, exported and verified (docs/audit-format.md)."""

import json
from collections.abc import Sequence
from typing import Any

from audit.facts import rfc3339

# What `body_of` reads, in this order.
COLUMNS = (
    "id",
    "org_id",
    "at",
    "kind",
    "actor_kind",
    "actor_id",
    "actor_label",
    "target_kind",
    "target_id",
    "target_label",
    "workspace_id",
    "request_id",
    "facts",
)


def body_of(row: Sequence[Any]) -> dict[str, Any]:
    """The body of a row of `COLUMNS`, `facts` being JSON text as Django reads it."""
    (
        event_id,
        org_id,
        at,
        kind,
        actor_kind,
        actor_id,
        actor_label,
        target_kind,
        target_id,
        target_label,
        workspace_id,
        request_id,
        facts,
    ) = row
    return {
        "id": str(event_id),
        "chain": str(org_id),
        "at": rfc3339(at),
        "kind": kind,
        "actor": {"kind": actor_kind, "id": actor_id, "label": actor_label},
        "target": {"kind": target_kind, "id": target_id, "label": target_label},
        "workspace": str(workspace_id) if workspace_id else None,
        "request_id": request_id,
        "facts": json.loads(facts),
    }
