"""Meter windows as receipts: page by page, and all of a month for a file (B1-B3)."""

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone

from envforge.actor import Actor
from envforge.cursors import Place
from envforge.errors import NotVisible
from orgs import policy
from orgs.models import Organization
from orgs.policy import Action, Reach
from orgs.selectors import visible
from workspaces import prices, sums
from workspaces.models import MeterWindow, Workspace
from workspaces.months import Month
from workspaces.prices import Money
from workspaces.sums import Part

PAGE_SIZE = 50
BATCH = 2000


@dataclass(frozen=True, slots=True)
class WindowView:
    """The receipt of one wake (B2). `within` is what of it lies in the time that was asked for; `closed_at` is None while it is awake."""

    id: UUID
    workspace_id: UUID
    workspace: str
    project: str
    number: int
    size: str
    cause: str
    end_cause: str
    cap_mode: str
    opened_at: datetime
    closed_at: datetime | None
    within: Part
    cost: Money | None


@dataclass(frozen=True, slots=True)
class WorkspaceChoice:
    """A workspace that a cap can be set for."""

    id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class Windows:
    """A page of receipts, the newest first, and where the older ones begin."""

    windows: list[WindowView]
    older: Place | None


def windows(
    *,
    actor: Actor,
    slug: str,
    month: Month | None = None,
    workspace_id: UUID | None = None,
    before: Place | None = None,
    size: int = PAGE_SIZE,
) -> Windows:
    """One page of a month's receipts, the newest first. Errors as `usage`."""
    with visible(actor, slug, Action.BILLING_VIEW) as (found, answers):
        now = timezone.now().replace(microsecond=0)
        month = month or Month.of(now)
        _, where = narrowed(reach(actor, found), workspace_id)
        priced = answers[Action.BILLING_VIEW].allowed and bool(prices.rows())
        return page_of(where, (month.begins, month.ends), before, size, now, priced=priced)


def count_of_month(actor: Actor, organization: Organization, month: Month, workspace_id: UUID | None) -> int:
    """How many receipts `of_month` has. Errors as `usage`, inside the entered organization."""
    _, where = narrowed(reach(actor, organization), workspace_id)
    return _rows(where, (month.begins, month.ends)).count()


def of_month(
    actor: Actor, organization: Organization, month: Month, workspace_id: UUID | None, *, priced: bool
) -> Generator[WindowView]:
    """Every receipt of a month that the actor may see, the newest first, in batches; inside the entered organization."""
    now = timezone.now().replace(microsecond=0)
    span = (month.begins, month.ends)
    _, where = narrowed(reach(actor, organization), workspace_id)
    for row in _rows(where, span).iterator(chunk_size=BATCH):
        yield _window(row, span, now, priced=priced)


def reach(actor: Actor, organization: Organization) -> Reach:
    seen = policy.reach(actor, Action.USAGE_VIEW)
    if not seen:
        policy.require(actor, Action.USAGE_VIEW, organization)
    return seen


def narrowed(seen: Reach, workspace_id: UUID | None) -> tuple[WorkspaceChoice | None, Reach]:
    if workspace_id is None:
        return None, seen
    row = Workspace.objects.filter(in_reach(seen), id=workspace_id).values_list("id", "branch").first()
    if row is None:
        raise NotVisible
    return WorkspaceChoice(*row), Reach(everywhere=False, workspace_ids=frozenset({workspace_id}))


def in_reach(seen: Reach, to: str = "") -> Q:
    """Which rows are in reach; `to` is the way from them to their workspace."""
    if seen.everywhere:
        return Q()
    return Q(**{f"{to}project_id__in": seen.project_ids}) | Q(**{f"{to}id__in": seen.workspace_ids})


def page_of(
    where: Reach,
    span: tuple[datetime, datetime],
    before: Place | None,
    size: int,
    now: datetime,
    *,
    priced: bool,
) -> Windows:
    rows = _rows(where, span)
    if before:
        at, last = before
        rows = rows.filter(opened_at__lte=at).filter(Q(opened_at__lt=at) | Q(id__lt=last))
    page = list(rows[: size + 1])
    older = (page[size - 1].opened_at, page[size - 1].id) if len(page) > size else None
    return Windows([_window(row, span, now, priced=priced) for row in page[:size]], older)


def _rows(where: Reach, span: tuple[datetime, datetime]) -> QuerySet[MeterWindow]:
    rows = MeterWindow.objects.filter(sums.within(*span), in_reach(where, "workspace__"))
    return rows.select_related("workspace__project").order_by("-opened_at", "-id")


def _window(row: MeterWindow, span: tuple[datetime, datetime], now: datetime, *, priced: bool) -> WindowView:
    return WindowView(
        row.id,
        row.workspace_id,
        row.workspace.branch,
        row.workspace.project.name,
        row.epoch,
        row.size,
        row.cause,
        row.end_cause,
        row.cap_mode,
        row.opened_at,
        row.closed_at,
        sums.part(row, *span, now=now),
        _cost(row, span, now) if priced else None,
    )


def _cost(row: MeterWindow, span: tuple[datetime, datetime], now: datetime) -> Money:
    """What a window costs within a time, by each row of the table that counts in it."""
    borders = [span[0], *(at for at in prices.begins() if span[0] < at < span[1]), span[1]]
    return prices.total(
        [
            prices.cost(
                sums.part(row, begins, ends, now=now).charged_s, row.size, prices.period_of(begins.date())
            )
            for begins, ends in pairwise(borders)
        ]
    )
