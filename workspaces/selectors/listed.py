"""The workspaces of an organization that somebody may see."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, F, Q, QuerySet
from django.utils import timezone

from envforge.actor import Actor
from orgs import policy
from orgs.models import Organization
from orgs.policy import Action
from orgs.selectors import visible
from projects.models import Project
from workspaces.awake import Awake, awake_within
from workspaces.models import Observed, Power, Presence, Workspace
from workspaces.months import Month
from workspaces.states import Now, now_of

PAGE_SIZE = 50
MOST_PROJECTS = 200


@dataclass(frozen=True, slots=True)
class Listed:
    """A workspace in a list; `month` is how long it was awake in this calendar month (UTC)."""

    id: UUID
    slug: str
    branch: str
    project: str
    opened_by: str
    opened_at: datetime
    now: Now
    why: str
    month: Awake


@dataclass(frozen=True, slots=True)
class ProjectChoice:
    """A project in which the actor may open workspaces."""

    id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class Workspaces:
    """A page of workspaces, the newest first; `total` and `awake` are of all that the actor may see and that are in use."""

    organization: Organization
    workspaces: list[Listed]
    total: int
    awake: int
    next_after: UUID | None
    may_open_in: list[ProjectChoice]


def workspaces(
    *, actor: Actor, slug: str, after: UUID | None = None, archived: bool = False, size: int = PAGE_SIZE
) -> Workspaces:
    """The workspaces that the actor may see; the same number of queries whatever there is.

    Args:
        archived: those that are archived, in place of those in use.

    Raises:
        NotVisible: there is no such organization for this actor.
        NotAllowed: the actor may see no workspace at all.
    """
    with visible(actor, slug) as (found, _):
        seen = policy.reach(actor, Action.WORKSPACE_VIEW)
        if not seen:
            policy.require(actor, Action.WORKSPACE_VIEW, found)
        wanted = Presence.ARCHIVED if archived else Presence.PRESENT
        rows = Workspace.objects.filter(wanted=wanted)
        if not seen.everywhere:
            rows = rows.filter(Q(project_id__in=seen.project_ids) | Q(id__in=seen.workspace_ids))
        is_awake = Q(runtime__wanted=Power.AWAKE, runtime__observed=Observed.AWAKE)
        counts = rows.aggregate(total=Count("id"), awake=Count("id", filter=is_awake))
        page = list(
            (rows.filter(id__lt=after) if after else rows)
            .select_related("project", "shell", "runtime")
            .order_by("-id")[: size + 1]
        )
        more = len(page) > size
        page = page[:size]
        now = timezone.now()
        month = Month.of(now)
        awake = awake_within(month.begins, month.ends, now, [row.id for row in page])
        return Workspaces(
            found,
            [_listed(row, awake.get(row.id, Awake())) for row in page],
            counts["total"],
            counts["awake"],
            page[-1].id if more else None,
            _may_open_in(actor),
        )


def _listed(row: Workspace, month: Awake) -> Listed:
    now = now_of(row, row.shell, row.runtime)
    why = row.runtime.active_cause or row.runtime.wanted_cause
    return Listed(
        row.id,
        row.slug,
        row.branch,
        row.project.name,
        row.opened_by,
        row.opened_at,
        now,
        why,
        month,
    )


def _may_open_in(actor: Actor) -> list[ProjectChoice]:
    reach = policy.reach(actor, Action.WORKSPACE_CREATE)
    if not reach:
        return []
    rows: QuerySet[Project] = Project.objects.filter(archived_at=None)
    if not reach.everywhere:
        rows = rows.filter(id__in=reach.project_ids)
    return [
        ProjectChoice(*row)
        for row in rows.order_by(F("name").asc(), "id").values_list("id", "name")[:MOST_PROJECTS]
    ]
