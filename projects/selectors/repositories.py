"""A project's repositories as they are shown, with the same number of queries whatever there is; callers have asked policy."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from envforge_protocol.contract import Contract
from envforge_protocol.contract.model import Input, Resource
from projects.contracts import approved, contract_of, waiting
from projects.models import Binding, Project, Proposal, RefusedFile, Repository, ResourceMode, ResourceValue
from projects.needs import missing


@dataclass(frozen=True, slots=True)
class ProposalView:
    """A proposal in a list."""

    id: UUID
    repository: str
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
    """A file that is no contract: each problem with `line`, `column`, `path`, `problem`, `expected` and `hint`."""

    branch: str
    commit: str
    problems: list[dict[str, Any]]
    not_listed: int
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class BindingView:
    """An input and where it comes from: `source` is empty where nothing was said, `words` then tells the default if any."""

    name: str
    kind: str
    required: bool
    description: str
    default: str | None
    source: str
    words: str
    secret_id: UUID | None
    literal: str
    route_to: str
    resource: str


@dataclass(frozen=True, slots=True)
class ValueView:
    """One property of a provided resource: the secret it is, or its text."""

    property: str
    words: str
    secret_id: UUID | None
    literal: str


@dataclass(frozen=True, slots=True)
class ResourceView:
    """A resource of the contract and how it is provided: `mode` is empty where nothing was said."""

    name: str
    type: str
    required: bool
    description: str
    mode: str
    mode_words: str
    owner: str
    ready_within_s: int
    cleanup: str
    cleanup_words: str
    request: str
    values: list[ValueView]


@dataclass(frozen=True, slots=True)
class RepositoryView:
    """A repository with its contracts; `missing` says in words what its next wake lacks."""

    id: UUID
    name: str
    url: str
    default_branch: str
    access_id: UUID | None
    access: str
    app: str
    approved: ProposalView | None
    waiting: list[ProposalView]
    refused: list[RefusedView]
    inputs: list[BindingView]
    resources: list[ResourceView]
    missing: list[str]


def repositories(project: Project) -> list[RepositoryView]:
    """The repositories in use; those that wait for a review come first, then by name."""
    rows = list(Repository.objects.filter(project=project, removed_at=None).select_related("access", "app"))
    ids = [row.id for row in rows]
    latest, proposed = approved(ids), waiting(ids)
    bindings = list(Binding.objects.filter(repository_id__in=ids).select_related("secret", "route_to"))
    modes = list(ResourceMode.objects.filter(repository_id__in=ids).prefetch_related("values__secret"))
    refused = list(RefusedFile.objects.filter(repository_id__in=ids).order_by("-seen_at", "-id"))
    views = [
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
    views.sort(key=lambda one: (not one.waiting, one.name))
    return views


def proposal_view(row: Proposal, repository: str) -> ProposalView:
    """A proposal as it is listed."""
    return ProposalView(
        row.id,
        repository,
        row.service,
        row.digest,
        row.branch,
        row.commit,
        row.decision,
        row.proposed_at,
        row.decided_by,
        row.decided_at,
    )


def _repository(
    row: Repository,
    latest: dict[UUID, Proposal],
    proposed: list[Proposal],
    bindings: Sequence[Binding],
    modes: Sequence[ResourceMode],
    refused: Sequence[RefusedFile],
) -> RepositoryView:
    last = latest.get(row.id)
    contract = contract_of(last) if last else None
    lacking = missing(contract, bindings, modes, latest) if contract else ["an approved contract"]
    known = [contract_of(one) for one in reversed(proposed)] + ([contract] if contract else [])
    return RepositoryView(
        row.id,
        row.name,
        row.url,
        row.default_branch,
        row.access_id,
        row.access.name if row.access else "",
        row.app.name if row.app else "",
        proposal_view(last, row.name) if last else None,
        [proposal_view(one, row.name) for one in proposed],
        [RefusedView(one.branch, one.commit, one.problems, one.not_listed, one.seen_at) for one in refused],
        _inputs(known, bindings),
        _resources(known, modes),
        lacking,
    )


def _inputs(known: Sequence[Contract], bindings: Sequence[Binding]) -> list[BindingView]:
    declared: dict[str, Input] = {}
    for contract in known:
        declared |= contract.inputs
    by_name = {one.input: one for one in bindings}
    return [_input(name, given, by_name.get(name)) for name, given in declared.items()]


def _input(name: str, given: Input, binding: Binding | None) -> BindingView:
    route_to = binding.route_to if binding else None
    return BindingView(
        name,
        given.kind,
        given.required and given.default is None,
        given.description,
        given.default,
        binding.source if binding else "",
        _words(binding) if binding else "",
        binding.secret_id if binding else None,
        binding.literal if binding else "",
        route_to.name if route_to else "",
        binding.resource if binding else "",
    )


def _words(binding: Binding) -> str:
    if binding.secret is not None:
        gone = ", which is deleted" if binding.secret.deleted_at else ""
        return f"the secret {binding.secret.name}{gone}"
    if binding.route_to is not None:
        return f"the service of {binding.route_to.name}"
    return binding.resource or binding.literal


def _resources(known: Sequence[Contract], modes: Sequence[ResourceMode]) -> list[ResourceView]:
    declared: dict[str, Resource] = {}
    for contract in known:
        declared |= contract.resources
    by_name = {one.resource: one for one in modes}
    return [_resource(name, given, by_name.get(name)) for name, given in declared.items()]


def _resource(name: str, given: Resource, mode: ResourceMode | None) -> ResourceView:
    said = mode or ResourceMode()
    return ResourceView(
        name,
        given.type,
        given.required,
        given.description,
        mode.mode if mode else "",
        mode.get_mode_display() if mode else "",
        said.owner,
        said.ready_within_s,
        said.cleanup,
        said.get_cleanup_display(),
        said.request,
        [_value(one) for one in mode.values.all()] if mode else [],
    )


def _value(row: ResourceValue) -> ValueView:
    gone = ", which is deleted" if row.secret and row.secret.deleted_at else ""
    words = f"the secret {row.secret.name}{gone}" if row.secret else row.literal
    return ValueView(row.property, words, row.secret_id, row.literal)
