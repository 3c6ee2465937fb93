"""Which contract each repository of a workspace wakes with; callers have asked policy already (W2)."""

from dataclasses import dataclass
from uuid import UUID

from envforge_protocol.contract import Contract
from projects.choices import Decision
from projects.contracts import approved, contract_of
from projects.models import Proposal, Repository
from workspaces.models import Checkout, Workspace


@dataclass(frozen=True, slots=True)
class Chosen:
    """A repository with its contract: the one in the working tree if that is approved, else the one approved last."""

    repository: Repository
    proposal: Proposal
    contract: Contract


@dataclass(frozen=True, slots=True)
class Contracts:
    """What a workspace wakes with; `without` are repositories of which no contract was ever approved.

    `trees` are the working trees that it was chosen by, as they were told, by repository.
    """

    contracts: list[Chosen]
    without: list[Repository]
    trees: dict[UUID, Checkout]


def chosen(workspace: Workspace) -> Contracts:
    """The contracts of a wake that begins now, by the repositories' names."""
    repositories = list(
        Repository.objects.filter(project_id=workspace.project_id, removed_at=None).order_by("name")
    )
    ids = [one.id for one in repositories]
    trees = {
        row.repository_id: row for row in Checkout.objects.filter(workspace=workspace, repository_id__in=ids)
    }
    digests = {repository_id: tree.contract_digest for repository_id, tree in trees.items()}
    own = {
        row.repository_id: row
        for row in Proposal.objects.filter(
            repository_id__in=ids,
            digest__in=[one for one in digests.values() if one],
            decision=Decision.APPROVED,
        )
        if digests.get(row.repository_id) == row.digest
    }
    last = approved(ids)
    found: list[Chosen] = []
    without: list[Repository] = []
    for repository in repositories:
        proposal = own.get(repository.id) or last.get(repository.id)
        if proposal is None:
            without.append(repository)
        else:
            found.append(Chosen(repository, proposal, contract_of(proposal)))
    return Contracts(found, without, trees)
