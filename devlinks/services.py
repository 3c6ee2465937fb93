"""Which services of a workspace a link may lead to, and by which paths, as approved contracts and bindings say (L1, L5, G3)."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from uuid import UUID

from envforge_protocol.contract import Contract
from envforge_protocol.gateway.decisions import Forward, Routes
from projects.choices import Source
from projects.contracts import contract_of
from projects.models import Binding, Proposal
from workspaces.contracts import chosen
from workspaces.models import Workspace
from workspaces.routes import Route, routes_of


@dataclass(frozen=True, slots=True)
class Linkable:
    """A service that links may be issued for; `routes` say which paths are of which surface, and which lead to another service."""

    service: str
    description: str
    repository_id: UUID
    routes: Routes


@dataclass(frozen=True, slots=True)
class Reached:
    """A linked service and what its routes forward to, as it runs now: `targets` without those that cannot be reached."""

    linkable: Linkable | None
    targets: tuple[Route, ...]
    epoch: int


def linkable_services(workspace: Workspace) -> list[Linkable]:
    """Those of a workspace of the entered organization by name, by the contracts that its next wake uses."""
    contracts = {one.repository.id: one.contract for one in chosen(workspace).contracts}
    return sorted(_linkable(contracts, contracts), key=lambda one: one.service)


def linkable_service(workspace: Workspace, service: str) -> Linkable | None:
    """That one; None where there is none, or links may not lead to it."""
    return next((one for one in linkable_services(workspace) if one.service == service), None)


def reached(workspace: Workspace, service: str) -> Reached | None:
    """What a link to this service reaches now; None while the runtime is not routed."""
    routes = routes_of(workspace.id)
    if not routes:
        return None
    running = {one.repository_id: one for one in routes}
    proposals = Proposal.objects.in_bulk([one.proposal_id for one in routes])
    contracts = {
        one.repository_id: contract_of(proposals[one.proposal_id])
        for one in routes
        if one.proposal_id in proposals
    }
    # Contracts of workers and jobs stand for nothing that is led to, and are not among the routes.
    found = next((one for one in _linkable(contracts, contracts) if one.service == service), None)
    if found is None:
        return Reached(None, (), routes[0].epoch)
    names = {service, *(one.service for one in found.routes.forward)}
    targets = tuple(one for one in running.values() if one.service in names)
    return Reached(found, targets, routes[0].epoch)


def _linkable(contracts: "dict[UUID, Contract]", known: "dict[UUID, Contract]") -> Iterable[Linkable]:
    leads = _leads(contracts)
    for repository_id, contract in contracts.items():
        if contract.is_linkable:
            yield Linkable(
                contract.service.name,
                contract.service.description,
                repository_id,
                _routes(contract, leads.get(repository_id, {}), known),
            )


def _leads(repository_ids: Collection[UUID]) -> dict[UUID, dict[str, UUID]]:
    """Of each repository, to which other one its inputs of kind `route` lead."""
    rows = Binding.objects.filter(
        repository_id__in=repository_ids, source=Source.ROUTE, route_to__isnull=False
    ).values_list("repository_id", "input", "route_to_id")
    found: dict[UUID, dict[str, UUID]] = {}
    for repository_id, name, other in rows:
        found.setdefault(repository_id, {})[name] = other
    return found


def _routes(contract: Contract, leads: dict[str, UUID], known: "dict[UUID, Contract]") -> Routes:
    forwards = []
    for prefix, name in sorted(contract.routes.forward.items()):
        other = known.get(leads[name]) if name in leads else None
        # Never to an operators' tool, whatever was bound (L5).
        if other is not None and other.service.kind != "console" and other.ingress is not None:
            forwards.append(Forward(prefix=prefix, service=other.service.name))
    return Routes(
        api=tuple(contract.routes.api),
        assets=tuple(contract.routes.assets),
        websockets=tuple(contract.routes.websockets),
        forward=tuple(forwards),
    )
