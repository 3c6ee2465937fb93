"""How long workspaces were awake in a span of time, from their meter windows; callers have asked policy already."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, DateTimeField, ExpressionWrapper, F, Q, Sum, Value
from django.db.models.fields import DurationField
from django.db.models.functions import Coalesce, Greatest, Least

from workspaces.models import MeterWindow


@dataclass(frozen=True, slots=True)
class Awake:
    """Whole seconds awake, and in how many windows."""

    seconds: int = 0
    wakes: int = 0


def awake_within(
    since: datetime, until: datetime, now: datetime, workspace_ids: Collection[UUID] | None = None
) -> dict[UUID, Awake]:
    """Of each workspace of the entered organization, how long it was awake from `since` until `until`; open windows count until now."""
    end = Least(Coalesce(F("closed_at"), Value(now)), Value(until), output_field=DateTimeField())
    length = ExpressionWrapper(
        end - Greatest(F("opened_at"), Value(since), output_field=DateTimeField()),
        output_field=DurationField(),
    )
    rows = MeterWindow.objects.filter(
        Q(closed_at=None) | Q(closed_at__gt=since), opened_at__lt=min(until, now)
    )
    if workspace_ids is not None:
        rows = rows.filter(workspace_id__in=workspace_ids)
    found = rows.values("workspace_id").annotate(length=Sum(length), wakes=Count("id"))
    return {
        row["workspace_id"]: Awake(max(int(row["length"].total_seconds()), 0), row["wakes"]) for row in found
    }
