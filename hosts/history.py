"""The placement history as a file: which workspaces of which organization were on which VM, from and until (V2)."""

import csv
import io
import json
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone

from audit.facts import rfc3339
from envforge import tenancy
from hosts.models import Placement
from orgs.models import Organization

COLUMNS = (
    *("organization", "vm", "vm_name", "role", "size", "generation"),
    *("workspace", "workspace_name", "from", "until"),
)
# What spreadsheets take for the beginning of a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
BATCH = 2000


class Form(StrEnum):
    """How an export is written."""

    JSONL = "jsonl"
    CSV = "csv"

    @property
    def content_type(self) -> str:
        return "application/jsonl" if self is Form.JSONL else "text/csv; charset=utf-8"

    def file_name(self, slug: str) -> str:
        return f"{slug}-placements-{timezone.now():%Y-%m-%d}.{self}"


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


def written(rows: Iterator[dict[str, Any]], form: Form) -> Iterator[bytes]:
    """The rows as lines of a file."""
    if form is Form.CSV:
        yield _csv_line(COLUMNS)
        for row in rows:
            yield _csv_line(["" if row[column] is None else str(row[column]) for column in COLUMNS])
        return
    for row in rows:
        yield json.dumps(row, ensure_ascii=False).encode() + b"\n"


def _csv_line(cells: tuple[str, ...] | list[str]) -> bytes:
    line = io.StringIO()
    # People name workspaces, and spreadsheets run what looks like a formula.
    csv.writer(line).writerow(f"'{cell}" if cell.lstrip(" ").startswith(FORMULA) else cell for cell in cells)
    return line.getvalue().encode()
