"""The projects of an organization."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from envforge.actor import Actor
from orgs import policy
from orgs.models import Organization
from orgs.policy import Action, Answer
from orgs.selectors import visible
from projects.choices import Decision
from projects.models import Project

MOST_SHOWN = 200


@dataclass(frozen=True, slots=True)
class ProjectView:
    """A project in a list; `waiting` proposals of it want a review."""

    id: UUID
    slug: str
    name: str
    repositories: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Projects:
    """The projects that the actor may see, the archived ones apart; `total` and `waiting` count all in use, shown or not."""

    organization: Organization
    projects: list[ProjectView]
    archived: list[ProjectView]
    total: int
    waiting: int
    archived_total: int
    create: Answer


def projects(*, actor: Actor, slug: str) -> Projects:
    """The projects that the actor may see, by name, those in use and those archived; of each up to `MOST_SHOWN`.

    Raises:
        NotVisible: there is no such organization for this actor.
        NotAllowed: the actor may see no project at all.
    """
    with visible(actor, slug, Action.PROJECT_CREATE) as (found, answers):
        seen = policy.reach(actor, Action.PROJECT_VIEW)
        if not seen:
            policy.require(actor, Action.PROJECT_VIEW, found)
        rows = Project.objects.all()
        if not seen.everywhere:
            rows = rows.filter(id__in=seen.project_ids)
        in_use = Q(repositories__removed_at=None)
        waits = in_use & Q(repositories__proposals__decision=Decision.PROPOSED)
        counted = rows.annotate(
            all=Count("repositories", filter=in_use, distinct=True),
            waits=Count("repositories__proposals", filter=waits, distinct=True),
        )
        ordered = counted.order_by("name", "id")
        all_of_them = rows.aggregate(
            total=Count("id", filter=Q(archived_at=None), distinct=True),
            archived=Count("id", filter=Q(archived_at__isnull=False), distinct=True),
            waiting=Count("repositories__proposals", filter=waits & Q(archived_at=None), distinct=True),
        )
        return Projects(
            found,
            _views(ordered.filter(archived_at=None)),
            _views(ordered.exclude(archived_at=None)),
            all_of_them["total"],
            all_of_them["waiting"],
            all_of_them["archived"],
            answers[Action.PROJECT_CREATE],
        )


def _views(rows: QuerySet[Any]) -> list[ProjectView]:
    return [ProjectView(row.id, row.slug, row.name, row.all, row.waits) for row in rows[:MOST_SHOWN]]
