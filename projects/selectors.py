"""Reads of projects: what there is, what waits for review, and what is missing before a wake."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Q

from envforge.actor import Actor
from envforge.errors import NotVisible
from envforge_protocol.contract.difference import Change, differences, text_difference
from envforge_protocol.contract.model import Input
from orgs import policy
from orgs.models import Organization
from orgs.policy import Action, Answer
from orgs.selectors import visible
from projects.contracts import approved, contract_of, waiting
from projects.models import Binding, Decision, Project, Proposal, RefusedFile, Repository, ResourceMode
from projects.needs import missing

MOST_SHOWN = 200
IN_PROJECT = (
    *(Action.PROJECT_VIEW, Action.PROJECT_ARCHIVE, Action.REPOSITORY_MANAGE),
    *(Action.CONTRACT_APPROVE, Action.BINDING_CHANGE, Action.RESOURCE_MODE_CHANGE),
)


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
    """The projects that the actor may see."""

    organization: Organization
    projects: list[ProjectView]
    create: Answer


@dataclass(frozen=True, slots=True)
class ProposalView:
    """A proposal in a list."""

    id: UUID
    service: str
    digest: str
    branch: str
    commit: str
    decision: str
    proposed_at: datetime
    decided_by: str
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class RefusedView:
    """A file that is no contract: each problem with `line`, `column`, `problem`, `expected` and `hint`."""

    branch: str
    commit: str
    problems: list[dict[str, Any]]
    not_listed: int
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class BindingView:
    """An input and where it comes from: `source` is empty where nothing was said."""

    name: str
    kind: str
    required: bool
    description: str
    source: str
    words: str


@dataclass(frozen=True, slots=True)
class RepositoryView:
    """A repository with its contracts; `missing` says in words what its next wake lacks."""

    id: UUID
    name: str
    url: str
    default_branch: str
    approved: ProposalView | None
    waiting: list[ProposalView]
    refused: list[RefusedView]
    inputs: list[BindingView]
    missing: list[str]


@dataclass(frozen=True, slots=True)
class OneProject:
    """One project, with what the actor may do to it; repositories that wait for a review come first."""

    organization: Organization
    project: Project
    repositories: list[RepositoryView]
    may: dict[Action, Answer]


@dataclass(frozen=True, slots=True)
class Review:
    """A proposal against what was approved last (`against` is None where nothing was)."""

    organization: Organization
    project: Project
    repository: str
    proposal: ProposalView
    text: str
    against: ProposalView | None
    changes: tuple[Change, ...]
    difference: str
    approve: Answer


def projects(*, actor: Actor, slug: str) -> Projects:
    """The projects in use that the actor may see, by name; up to `MOST_SHOWN`.

    Raises:
        NotVisible: there is no such organization for this actor.
        NotAllowed: the actor may see no project at all.
    """
    with visible(actor, slug, Action.PROJECT_CREATE) as (found, answers):
        seen = policy.reach(actor, Action.PROJECT_VIEW)
        if not seen:
            policy.require(actor, Action.PROJECT_VIEW, found)
        rows = Project.objects.filter(archived_at=None)
        if not seen.everywhere:
            rows = rows.filter(id__in=seen.project_ids)
        in_use = Q(repositories__removed_at=None)
        waits = in_use & Q(repositories__proposals__decision=Decision.PROPOSED)
        counted = rows.annotate(
            all=Count("repositories", filter=in_use, distinct=True),
            waits=Count("repositories__proposals", filter=waits, distinct=True),
        )
        views = [
            ProjectView(row.id, row.slug, row.name, row.all, row.waits)
            for row in counted.order_by("name", "id")[:MOST_SHOWN]
        ]
        return Projects(found, views, answers[Action.PROJECT_CREATE])


def project(*, actor: Actor, slug: str, project_id: UUID) -> OneProject:
    """One project; the same number of queries whatever there is in it.

    Raises:
        NotVisible: there is no such organization or project for this actor.
    """
    with visible(actor, slug) as (found, _):
        row = Project.objects.filter(id=project_id).first()
        if row is None:
            raise NotVisible
        may = policy.explain(actor, *IN_PROJECT, target=row)
        if not may[Action.PROJECT_VIEW].allowed:
            policy.require(actor, Action.PROJECT_VIEW, row)
        views = _repositories(row)
        views.sort(key=lambda one: (not one.waiting, one.name))
        return OneProject(found, row, views, may)


def review(*, actor: Actor, slug: str, proposal_id: UUID) -> Review:
    """A proposal, with what approving it would change: by field with its weight, and as texts.

    Raises:
        NotVisible: there is no such organization or proposal for this actor.
    """
    with visible(actor, slug) as (found, _):
        row = Proposal.objects.select_related("repository__project").filter(id=proposal_id).first()
        if row is None:
            raise NotVisible
        about = row.repository.project
        may = policy.explain(actor, Action.PROJECT_VIEW, Action.CONTRACT_APPROVE, target=about)
        if not may[Action.PROJECT_VIEW].allowed:
            policy.require(actor, Action.PROJECT_VIEW, about)
        last = approved([row.repository_id]).get(row.repository_id)
        return Review(
            found,
            about,
            row.repository.name,
            _proposal(row),
            row.text,
            _proposal(last) if last else None,
            differences(contract_of(last) if last else None, contract_of(row)),
            text_difference(last.text if last else "", row.text),
            may[Action.CONTRACT_APPROVE],
        )


def _repositories(project: Project) -> list[RepositoryView]:
    rows = list(Repository.objects.filter(project=project, removed_at=None))
    ids = [row.id for row in rows]
    latest, proposed = approved(ids), waiting(ids)
    bindings = list(Binding.objects.filter(repository_id__in=ids).select_related("secret", "route_to"))
    modes = list(ResourceMode.objects.filter(repository_id__in=ids).prefetch_related("values__secret"))
    refused = list(RefusedFile.objects.filter(repository_id__in=ids).order_by("-seen_at", "-id"))
    return [
        _repository(
            row,
            latest,
            proposed.get(row.id, []),
            [one for one in bindings if one.repository_id == row.id],
            [one for one in modes if one.repository_id == row.id],
            [one for one in refused if one.repository_id == row.id],
        )
        for row in rows
    ]


def _repository(
    row: Repository,
    latest: dict[UUID, Proposal],
    proposed: list[Proposal],
    bindings: list[Binding],
    modes: list[ResourceMode],
    refused: list[RefusedFile],
) -> RepositoryView:
    last = latest.get(row.id)
    contract = contract_of(last) if last else None
    lacking = missing(contract, bindings, modes, latest) if contract else ["an approved contract"]
    declared: dict[str, Input] = {}
    for one in [*reversed(proposed), *([last] if last else [])]:
        declared |= contract_of(one).inputs
    by_name = {one.input: one for one in bindings}
    return RepositoryView(
        row.id,
        row.name,
        row.url,
        row.default_branch,
        _proposal(last) if last else None,
        [_proposal(one) for one in proposed],
        [RefusedView(one.branch, one.commit, one.problems, one.not_listed, one.seen_at) for one in refused],
        [
            BindingView(
                name,
                given.kind,
                given.required and given.default is None,
                given.description,
                by_name[name].source if name in by_name else "",
                _words(by_name[name]) if name in by_name else "",
            )
            for name, given in declared.items()
        ],
        lacking,
    )


def _words(binding: Binding) -> str:
    if binding.secret is not None:
        gone = ", which is deleted" if binding.secret.deleted_at else ""
        return f"the secret {binding.secret.name}{gone}"
    if binding.route_to is not None:
        return f"the service of {binding.route_to.name}"
    return binding.resource or binding.literal


def _proposal(row: Proposal) -> ProposalView:
    return ProposalView(
        row.id,
        row.service,
        row.digest,
        row.branch,
        row.commit,
        row.decision,
        row.proposed_at,
        row.decided_by,
        row.decided_at,
    )
