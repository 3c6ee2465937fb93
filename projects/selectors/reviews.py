"""Proposals: those of a project, and one against what was approved last (W2)."""

from dataclasses import dataclass
from uuid import UUID

from envforge.actor import Actor
from envforge.errors import NotVisible
from envforge_protocol.contract.difference import Change, differences, text_difference
from orgs import policy
from orgs.models import Organization
from orgs.policy import Action, Answer
from orgs.selectors import visible
from projects.contracts import approved, contract_of
from projects.models import Project, Proposal
from projects.selectors.one import visible_project
from projects.selectors.repositories import ProposalView, proposal_view

PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class Proposals:
    """A page of a project's proposals, the newest first."""

    organization: Organization
    project: Project
    proposals: list[ProposalView]
    next_after: UUID | None


@dataclass(frozen=True, slots=True)
class Review:
    """A proposal against what was approved last (`against` is None where nothing was).

    `closed` says why nothing can be decided any more, whoever asks; empty where it can.
    """

    organization: Organization
    project: Project
    repository: str
    proposal: ProposalView
    text: str
    against: ProposalView | None
    changes: tuple[Change, ...]
    difference: str
    approve: Answer
    closed: str


def proposals(
    *, actor: Actor, slug: str, project: str, decision: str = "", after: UUID | None = None
) -> Proposals:
    """One page of the proposals of a project's repositories, those of removed ones included.

    Args:
        decision: only these (`Decision`); empty for all.
        after: the last proposal of the page before.

    Raises:
        NotVisible: there is no such organization or project for this actor.
    """
    with visible(actor, slug) as (found, _):
        row, _may = visible_project(actor, project)
        rows = Proposal.objects.filter(repository__project=row).select_related("repository")
        if decision:
            rows = rows.filter(decision=decision)
        if after:
            # Ids ascend with time.
            rows = rows.filter(id__lt=after)
        page = list(rows.order_by("-id")[: PAGE_SIZE + 1])
        more = page[PAGE_SIZE - 1].id if len(page) > PAGE_SIZE else None
        views = [proposal_view(one, one.repository.name) for one in page[:PAGE_SIZE]]
        return Proposals(found, row, views, more)


def review(*, actor: Actor, slug: str, proposal_id: UUID, project: str = "") -> Review:
    """A proposal, with what approving it would change: by field with its weight, and as texts.

    Args:
        project: the short name of the project it must belong to; empty for any.

    Raises:
        NotVisible: there is no such organization or proposal for this actor.
    """
    with visible(actor, slug) as (found, _):
        row = Proposal.objects.select_related("repository__project").filter(id=proposal_id).first()
        if row is None or (project and row.repository.project.slug != project):
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
            proposal_view(row, row.repository.name),
            row.text,
            proposal_view(last, row.repository.name) if last else None,
            differences(contract_of(last) if last else None, contract_of(row)),
            text_difference(last.text if last else "", row.text),
            may[Action.CONTRACT_APPROVE],
            _closed(row),
        )


def _closed(row: Proposal) -> str:
    if row.repository.project.archived_at is not None:
        return f"The project {row.repository.project.name} is archived, and nothing in it changes any more."
    if row.repository.removed_at is not None:
        return f"The repository {row.repository.name} was taken out of the project."
    return ""
