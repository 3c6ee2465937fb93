"""One workspace: its states, why it is awake and until when, its services and its latest wakes."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from audit.filters import Filter
from audit.models import Event
from audit.reads import record_read
from audit.selectors import page
from envforge.actor import Actor
from envforge.errors import NotVisible
from orgs import policy
from orgs.models import Organization
from orgs.policy import Action, Answer
from orgs.selectors import visible
from workspaces import page_parts
from workspaces.awake import Awake, awake_within
from workspaces.models import (
    Checkout,
    JobLease,
    Presence,
    RunningService,
    Runtime,
    Shell,
    ShellSession,
    Wake,
    Workspace,
)
from workspaces.months import Month
from workspaces.page_parts import LinksNow, LoadedPart
from workspaces.states import Now, now_of

LATEST_EVENTS = 8
LATEST_WAKES = 5
MOST_WAKES_DRAWN = 40
MOST_CHECKOUTS = 20
# How far back the picture of awake times goes.
DRAWN = timedelta(hours=6)
ACTIONS = (
    *(Action.WORKSPACE_VIEW, Action.RUNTIME_WAKE, Action.RUNTIME_SLEEP, Action.RECEIPT_VIEW),
    *(Action.WORKSPACE_ARCHIVE, Action.WORKSPACE_DELETE, Action.SHELL_CONNECT, Action.AUDIT_READ),
    Action.DATA_DELETE,
)


@dataclass(frozen=True, slots=True)
class WakeView:
    """A wake and its readiness receipt (W10), as in `workspaces.models.Wake`."""

    epoch: int
    cause: str
    asked_by: str
    detail: str
    asked_at: datetime
    ready_at: datetime | None
    ended_at: datetime | None
    end_cause: str
    size: str
    services: list[dict[str, Any]]
    blockers: list[dict[str, Any]]
    ready_ms: int | None


@dataclass(frozen=True, slots=True)
class ServiceView:
    """A service of the present wake."""

    name: str
    kind: str
    health: str
    since: datetime
    restarts: int


@dataclass(frozen=True, slots=True)
class CheckoutView:
    """A repository as it lies in the workspace's files."""

    repository: str
    branch: str
    commit: str
    dirty: bool
    problem: str


@dataclass(frozen=True, slots=True)
class OneWorkspace:
    """All that its page and its API say; `attached` counts open shell sessions."""

    organization: Organization
    workspace: Workspace
    shell: Shell
    runtime: Runtime
    now: Now
    links: LinksNow
    attached: int
    services: list[ServiceView]
    leases: list[JobLease]
    checkouts: list[CheckoutView]
    wakes: list[WakeView]
    drawn_since: datetime
    asked_at: datetime
    month: Awake
    events: list[Event] | None
    may: dict[Action, Answer]
    parts: list[LoadedPart]


def workspace(*, actor: Actor, slug: str, workspace_id: UUID, parts: bool = False) -> OneWorkspace:
    """One workspace; the same number of queries whatever happened in it.

    Args:
        parts: with what other apps put on its page, and its latest events for those who may read the audit.

    Raises:
        NotVisible: there is no such workspace for this actor.
    """
    with visible(actor, slug) as (found, _):
        row = Workspace.objects.select_related("project", "shell", "runtime").filter(id=workspace_id).first()
        if row is None:
            raise NotVisible
        may = policy.explain(actor, *ACTIONS, target=row)
        if not may[Action.WORKSPACE_VIEW].allowed:
            policy.require(actor, Action.WORKSPACE_VIEW, row)
        moment = timezone.now()
        month = Month.of(moment)
        events = None
        if parts and may[Action.AUDIT_READ].allowed:
            events = page(Filter(workspace_id=row.id), size=LATEST_EVENTS).events
            record_read(actor=actor, target=found, filters=1)
        return OneWorkspace(
            organization=found,
            workspace=row,
            shell=row.shell,
            runtime=row.runtime,
            now=now_of(row, row.shell, row.runtime),
            links=page_parts.links_now(row),
            attached=ShellSession.objects.filter(workspace=row, disconnected_at=None).count(),
            services=_services(row.runtime),
            leases=list(
                JobLease.objects.filter(runtime=row.runtime, released_at=None, until__gt=moment).order_by(
                    "-until"
                )[:LATEST_WAKES]
            ),
            checkouts=_checkouts(row),
            wakes=_wakes(row.runtime, moment),
            drawn_since=moment - DRAWN,
            asked_at=moment,
            month=awake_within(month.begins, month.ends, moment, [row.id]).get(row.id, Awake()),
            events=events,
            may=may,
            parts=page_parts.loaded(actor, row) if parts and row.wanted == Presence.PRESENT else [],
        )


def receipt(*, actor: Actor, slug: str, workspace_id: UUID, epoch: int) -> tuple[OneWorkspace, WakeView]:
    """The readiness receipt of one wake (W10).

    Raises:
        NotVisible: there is no such workspace for this actor, or it was never woken so often.
        NotAllowed: the actor may see it, and not its receipts.
    """
    seen = workspace(actor=actor, slug=slug, workspace_id=workspace_id)
    with visible(actor, slug):
        policy.require(actor, Action.RECEIPT_VIEW, seen.workspace)
        row = Wake.objects.filter(runtime=seen.runtime, epoch=epoch).first()
        if row is None:
            raise NotVisible
        return seen, _wake(row)


def _services(runtime: Runtime) -> list[ServiceView]:
    rows = RunningService.objects.filter(runtime=runtime, epoch=runtime.epoch).order_by("name")
    return [ServiceView(row.name, row.kind, row.health, row.since, row.restarts) for row in rows]


def _checkouts(row: Workspace) -> list[CheckoutView]:
    rows = Checkout.objects.select_related("repository").filter(workspace=row, repository__removed_at=None)
    return [
        CheckoutView(one.repository.name, one.branch, one.commit, one.dirty, one.problem)
        for one in rows.order_by("repository__name")[:MOST_CHECKOUTS]
    ]


def _wakes(runtime: Runtime, moment: datetime) -> list[WakeView]:
    """The latest, and all that reach into the picture."""
    lately = Q(ended_at=None) | Q(ended_at__gte=moment - DRAWN)
    rows = Wake.objects.filter(runtime=runtime).order_by("-epoch")
    latest = list(rows[:LATEST_WAKES])
    drawn = list(rows.filter(lately)[:MOST_WAKES_DRAWN])
    by_epoch = {one.epoch: one for one in [*latest, *drawn]}
    return [_wake(by_epoch[epoch]) for epoch in sorted(by_epoch, reverse=True)]


def _wake(row: Wake) -> WakeView:
    return WakeView(
        row.epoch,
        row.cause,
        row.asked_by,
        row.detail,
        row.asked_at,
        row.ready_at,
        row.ended_at,
        row.end_cause,
        row.size,
        row.services,
        row.blockers,
        row.ready_ms,
    )
