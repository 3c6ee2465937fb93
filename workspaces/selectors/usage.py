"""Usage of a month: awake time by day and workspace, its windows, its caps, and for those who may see money what it costs (B1-B3)."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from envforge.actor import Actor
from envforge.cursors import Place
from envforge.errors import NotVisible
from envforge.price_forms import Price
from orgs import policy
from orgs.models import Organization
from orgs.policy import Action, Answer, Reach
from orgs.selectors import visible
from projects.choices import Mode
from projects.models import ResourceMode
from workspaces import prices, sums
from workspaces.caps import Standing
from workspaces.models import Cap, CapMode, MeterWindow, Presence, Workspace
from workspaces.months import Month
from workspaces.prices import Money
from workspaces.sums import Charged, Part

PAGE_SIZE = 50
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
class WorkspaceChoice:
    """A workspace that a cap can be set for."""

    id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class Windows:
    """A page of receipts, the newest first, and where the older ones begin."""

    windows: list[WindowView]
    older: Place | None


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
        seen = _reach(actor, found)
        only, where = _narrowed(seen, workspace_id)
        money = answers[Action.BILLING_VIEW]
        priced = money.allowed and bool(prices.rows())
        days = _days(month, now, where, priced=priced)
        by_workspace = sums.by_workspace(
            month.begins, month.ends, now=now, where=where, periods=prices.begins()
        )
        if day is None and only is None:
            day = max((one.day for one in days if one.windows), default=None)
        span = (month.begins, month.ends) if day is None else _of_day(day)
        page = _windows(where, span, before, size, now, priced=priced)
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
        _, where = _narrowed(_reach(actor, found), workspace_id)
        priced = answers[Action.BILLING_VIEW].allowed and bool(prices.rows())
        return _windows(where, (month.begins, month.ends), before, size, now, priced=priced)


def caps(*, actor: Actor, slug: str) -> list[CapView]:
    """The caps that count what the actor may see, the organization's first. Errors as `usage`."""
    with visible(actor, slug) as (found, _):
        return _caps(_reach(actor, found), timezone.now())


def _reach(actor: Actor, organization: Organization) -> Reach:
    seen = policy.reach(actor, Action.USAGE_VIEW)
    if not seen:
        policy.require(actor, Action.USAGE_VIEW, organization)
    return seen


def _narrowed(seen: Reach, workspace_id: UUID | None) -> tuple[WorkspaceChoice | None, Reach]:
    if workspace_id is None:
        return None, seen
    row = Workspace.objects.filter(_in(seen), id=workspace_id).values_list("id", "branch").first()
    if row is None:
        raise NotVisible
    return WorkspaceChoice(*row), Reach(everywhere=False, workspace_ids=frozenset({workspace_id}))


def _in(seen: Reach, to: str = "") -> Q:
    """Which rows are in reach; `to` is the way from them to their workspace."""
    if seen.everywhere:
        return Q()
    return Q(**{f"{to}project_id__in": seen.project_ids}) | Q(**{f"{to}id__in": seen.workspace_ids})


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


def _windows(
    where: Reach,
    span: tuple[datetime, datetime],
    before: Place | None,
    size: int,
    now: datetime,
    *,
    priced: bool,
) -> Windows:
    rows = MeterWindow.objects.filter(sums.within(*span), _in(where, "workspace__"))
    if before:
        at, last = before
        rows = rows.filter(opened_at__lte=at).filter(Q(opened_at__lt=at) | Q(id__lt=last))
    page = list(rows.select_related("workspace__project").order_by("-opened_at", "-id")[: size + 1])
    older = (page[size - 1].opened_at, page[size - 1].id) if len(page) > size else None
    return Windows([_window(row, span, now, priced=priced) for row in page[:size]], older)


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


def _caps(seen: Reach, now: datetime) -> list[CapView]:
    month = Month.of(now)
    rows = Cap.objects.exclude(mode=CapMode.NONE).select_related("workspace")
    if not seen.everywhere:
        rows = rows.filter(_in(seen, "workspace__"), workspace__isnull=False)
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
