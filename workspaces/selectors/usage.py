"""Usage of a month: awake time by day and workspace, its windows, its caps, and for those who may see money what it costs (B1-B3)."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from django.utils import timezone

from envforge.actor import Actor
from envforge.cursors import Place
from envforge.price_forms import Price
from orgs import policy
from orgs.models import Organization
from orgs.policy import Action, Answer, Reach
from orgs.selectors import visible
from projects.choices import Mode
from projects.models import ResourceMode
from workspaces import prices, sums
from workspaces.caps import Standing
from workspaces.models import Cap, CapMode, Presence, Workspace
from workspaces.months import Month
from workspaces.prices import Money
from workspaces.selectors.windows import (
    PAGE_SIZE,
    WindowView,
    WorkspaceChoice,
    in_reach,
    narrowed,
    page_of,
    reach,
)
from workspaces.sums import Charged, Part

MOST_WORKSPACES = 200
MOST_CHOICES = 200


@dataclass(frozen=True, slots=True)
class DayUsage:
    """A day (UTC), and what of it was spent at each size; `cost` is None for whoever may not see money."""

    day: date
    part: Part
    sizes: dict[str, Part]
    windows: int
    cost: Money | None


@dataclass(frozen=True, slots=True)
class WorkspaceUsage:
    """A workspace's receipt of the month; `in_sight` says whether the actor may open it."""

    id: UUID
    name: str
    project: str
    in_sight: bool
    part: Part
    sizes: dict[str, Part]
    windows: int
    cost: Money | None


@dataclass(frozen=True, slots=True)
class CapView:
    """A cap as it stands in the present month; `workspace` is empty for the organization's."""

    workspace_id: UUID | None
    workspace: str
    mode: CapMode
    hours: int | None
    used_s: int
    percent: int
    reached: bool
    changed_by: str
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Usage:
    """A month's usage, as far as the actor may see it.

    Args:
        only: the one workspace that was asked for, if one was.
        prices: the rows of the price table that count in this month; None for whoever may not see money.
        elsewhere: resources whose cost the customer's own cloud bills, by repository and name.
        day: of which day `windows` are; None for the whole month.
    """

    organization: Organization
    month: Month
    present: Month
    now: datetime
    only: WorkspaceChoice | None
    part: Part
    windows_in_all: int
    cost: Money | None
    prices: list[Price] | None
    money: Answer
    days: list[DayUsage]
    workspaces: list[WorkspaceUsage]
    more_workspaces: int
    caps: list[CapView]
    may_cap: Answer
    cap_choices: list[WorkspaceChoice]
    elsewhere: list[str]
    day: date | None
    windows: list[WindowView]
    older: Place | None


def usage(
    *,
    actor: Actor,
    slug: str,
    month: Month | None = None,
    day: date | None = None,
    workspace_id: UUID | None = None,
    before: Place | None = None,
    size: int = PAGE_SIZE,
    most: int | None = MOST_WORKSPACES,
) -> Usage:
    """One month (UTC), the present one without; the same number of queries whatever there is.

    Args:
        day: show the windows of this day; without it the last day with any, or with a workspace all of the month.
        most: how many workspaces to answer, the longest awake first; None for all.

    Raises:
        NotVisible: there is no such organization, or workspace, for this actor.
        NotAllowed: the actor may not see usage.
    """
    with visible(actor, slug, Action.BILLING_VIEW, Action.CAP_SET) as (found, answers):
        now = timezone.now().replace(microsecond=0)
        present = Month.of(now)
        month = month or present
        seen = reach(actor, found)
        only, where = narrowed(seen, workspace_id)
        money = answers[Action.BILLING_VIEW]
        priced = money.allowed and bool(prices.rows())
        days = _days(month, now, where, priced=priced)
        by_workspace = sums.by_workspace(
            month.begins, month.ends, now=now, where=where, periods=prices.begins()
        )
        if day is None and only is None:
            day = max((one.day for one in days if one.windows), default=None)
        span = (month.begins, month.ends) if day is None else _of_day(day)
        page = page_of(where, span, before, size, now, priced=priced)
        workspaces = _workspaces(actor, by_workspace, priced=priced)
        return Usage(
            organization=found,
            month=month,
            present=present,
            now=now,
            only=only,
            part=sum((one.part for one in days), Part()),
            windows_in_all=sum(one.windows for one in by_workspace),
            cost=prices.total([one.cost for one in workspaces if one.cost]) if priced else None,
            prices=prices.within(month.first, (month.ends - timedelta(days=1)).date()) if priced else None,
            money=money,
            days=days,
            workspaces=workspaces[:most],
            more_workspaces=len(workspaces[most:]) if most else 0,
            caps=_caps(seen, now),
            may_cap=answers[Action.CAP_SET],
            cap_choices=_choices() if answers[Action.CAP_SET].allowed else [],
            elsewhere=_elsewhere(seen),
            day=day,
            windows=page.windows,
            older=page.older,
        )


def caps(*, actor: Actor, slug: str) -> list[CapView]:
    """The caps that count what the actor may see, the organization's first. Errors as `usage`."""
    with visible(actor, slug) as (found, _):
        return _caps(reach(actor, found), timezone.now())


def _days(month: Month, now: datetime, where: Reach, *, priced: bool) -> list[DayUsage]:
    """Every day of the month up to now."""
    rows = defaultdict(list)
    for row in sums.by_day(month.begins, month.ends, now=now, where=where):
        rows[row.day].append(row)
    days, day = [], month.first
    while day < month.next.first and day <= now.date():
        found = rows[day]
        cost = prices.total(
            [prices.cost(row.part.charged_s, row.size, prices.period_of(day)) for row in found]
        )
        days.append(
            DayUsage(
                day,
                sum((row.part for row in found), Part()),
                {row.size: row.part for row in found},
                sum(row.windows for row in found),
                cost if priced else None,
            )
        )
        day += timedelta(days=1)
    return days


def _workspaces(actor: Actor, rows: Iterable[sums.WorkspaceSum], *, priced: bool) -> list[WorkspaceUsage]:
    """By workspace, the longest awake first."""
    of: dict[UUID, list[sums.WorkspaceSum]] = defaultdict(list)
    for row in rows:
        of[row.workspace_id].append(row)
    opens = policy.reach(actor, Action.WORKSPACE_VIEW)
    found = []
    for one in Workspace.objects.filter(id__in=list(of)).select_related("project"):
        sizes: dict[str, Part] = defaultdict(Part)
        for row in of[one.id]:
            sizes[row.size] += row.part
        cost = prices.total([prices.cost(row.part.charged_s, row.size, row.period) for row in of[one.id]])
        in_sight = opens.everywhere or one.project_id in opens.project_ids or one.id in opens.workspace_ids
        found.append(
            WorkspaceUsage(
                one.id,
                one.branch,
                one.project.name,
                in_sight and one.wanted != Presence.DELETED,
                sum((row.part for row in of[one.id]), Part()),
                dict(sizes),
                sum(row.windows for row in of[one.id]),
                cost if priced else None,
            )
        )
    return sorted(found, key=lambda one: (-one.part.seconds, one.name, one.id))


def _caps(seen: Reach, now: datetime) -> list[CapView]:
    month = Month.of(now)
    rows = Cap.objects.exclude(mode=CapMode.NONE).select_related("workspace")
    if not seen.everywhere:
        rows = rows.filter(in_reach(seen, "workspace__"), workspace__isnull=False)
    used = sums.charged_by_workspace(month.begins, month.ends, now=now, where=seen)
    whole = sum(used.values(), Charged())
    found = []
    for cap in rows:
        charged = whole if cap.workspace_id is None else used.get(cap.workspace_id, Charged())
        found.append(_cap(Standing(cap, month, charged.seconds, charged.open)))
    return sorted(found, key=lambda one: (one.workspace_id is not None, one.workspace))


def _cap(standing: Standing) -> CapView:
    cap = standing.cap
    return CapView(
        cap.workspace_id,
        cap.workspace.branch if cap.workspace else "",
        CapMode(cap.mode),
        cap.hours,
        standing.used_s,
        standing.percent,
        standing.reached,
        cap.changed_by,
        cap.changed_at,
    )


def _choices() -> list[WorkspaceChoice]:
    rows = Workspace.objects.filter(wanted=Presence.PRESENT).order_by("branch", "id")
    return [WorkspaceChoice(*row) for row in rows.values_list("id", "branch")[:MOST_CHOICES]]


def _elsewhere(seen: Reach) -> list[str]:
    rows = ResourceMode.objects.filter(mode=Mode.CUSTOMER_CLOUD).select_related("repository")
    if not seen.everywhere:
        rows = rows.filter(repository__project_id__in=seen.project_ids)
    return [
        f"{row.resource} of {row.repository.name}"
        for row in rows.order_by("repository__name", "resource")[:50]
    ]


def _of_day(day: date) -> tuple[datetime, datetime]:
    begins = datetime.combine(day, time.min, UTC)
    return begins, begins + timedelta(days=1)
