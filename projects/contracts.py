"""Contracts of repositories as the entered organization keeps them; callers have asked policy already."""

from collections.abc import Collection
from functools import lru_cache
from uuid import UUID

from django.db.models import Q

from envforge_protocol.contract import Contract, parse
from projects.choices import Decision
from projects.models import Proposal, Repository


@lru_cache(maxsize=512)
def _read(digest: str, text: str) -> Contract:
    return parse(text.encode())


def contract_of(proposal: Proposal) -> Contract:
    """The contract a proposal holds; its text was read before it was kept."""
    return _read(proposal.digest, proposal.text)


def approved(repository_ids: Collection[UUID]) -> dict[UUID, Proposal]:
    """Of each repository, what was approved last: what wakes use where a branch's own contract is not approved (W2)."""
    rows = Proposal.objects.filter(repository_id__in=repository_ids, decision=Decision.APPROVED)
    latest = rows.order_by("repository_id", "-decided_at", "-id").distinct("repository_id")
    return {row.repository_id: row for row in latest}


def waiting(repository_ids: Collection[UUID]) -> dict[UUID, list[Proposal]]:
    """Of each repository, the proposals nobody has decided about, the newest first; how many are kept is bounded."""
    rows = Proposal.objects.filter(repository_id__in=repository_ids, decision=Decision.PROPOSED)
    found: dict[UUID, list[Proposal]] = {}
    for row in rows.order_by("-proposed_at", "-id"):
        found.setdefault(row.repository_id, []).append(row)
    return found


def in_view(repository: Repository) -> list[Contract]:
    """The approved contract and then the proposals of a repository: what can be bound now, so that a wake after approval has all."""
    known = approved([repository.id])
    rows = [*known.values(), *waiting([repository.id]).get(repository.id, [])]
    return [contract_of(row) for row in rows]


def others_named(service: str, repository: Repository) -> bool:
    """Whether another repository of the project has an approved contract whose service has this name."""
    same = Repository.objects.filter(
        Q(project_id=repository.project_id), ~Q(id=repository.id), removed_at=None
    )
    return any(row.service == service for row in approved(list(same.values_list("id", flat=True))).values())
