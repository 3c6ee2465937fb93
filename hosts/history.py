"""The placement history as a file: which workspaces of which organization were on which VM, from and until (V2)."""

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from audit.facts import rfc3339
from envforge import tenancy
from hosts.models import Placement
from orgs.models import Organization

COLUMNS = (
    *("organization", "vm", "vm_name", "role", "size", "generation"),
    *("workspace", "workspace_name", "from", "until"),
)
BATCH = 2000


@dataclass(frozen=True, slots=True)
class Period:
    """Of which VM, and when: whatever was there for any moment from `since` on and before `until`; None is no bound."""

    since: datetime | None = None
    until: datetime | None = None
    host_id: UUID | None = None


ALWAYS = Period()


def placements(period: Period) -> "QuerySet[Placement]":
    """The placements of the entered organization within a period, the newest first."""
    wanted = Q()
    if period.since:
        wanted &= Q(ended_at=None) | Q(ended_at__gt=period.since)
    if period.until:
        wanted &= Q(began_at__lt=period.until)
    if period.host_id:
        wanted &= Q(host_id=period.host_id)
    return Placement.objects.select_related("host", "slot").filter(wanted).order_by("-began_at", "-id")


def export_lines(org_id: UUID, period: Period = ALWAYS) -> Generator[dict[str, Any]]:
    """Every placement of a period as a row, the newest first, in batches: memory does not grow with the history.

    One transaction sees one state. VMs go by the id that events and support's records carry, and no name of a cloud's.
    """
    with tenancy.enter(org_id):
        name = Organization.objects.values_list("slug", flat=True).get(id=org_id)
        for one in placements(period).iterator(chunk_size=BATCH):
            yield {
                "organization": name,
                "vm": str(one.host_id),
                "vm_name": one.host.name,
                "role": one.host.role,
                "size": one.host.size,
                "generation": one.generation,
                "workspace": str(one.slot.workspace_id),
                "workspace_name": one.slot.workspace_label,
                "from": rfc3339(one.began_at),
                "until": rfc3339(one.ended_at) if one.ended_at else None,
            }
