"""What is missing before a service can wake, in words (W1); callers have asked policy already."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from envforge_protocol.contract import Contract
from envforge_protocol.contract.binding import unbound, value_keys
from projects.choices import Mode, Source
from projects.contracts import contract_of
from projects.models import Binding, Proposal, ResourceMode


def missing(
    contract: Contract,
    bindings: Iterable[Binding],
    modes: Iterable[ResourceMode],
    approved: Mapping[UUID, Proposal],
) -> list[str]:
    """What a wake with this contract lacks, one line each; empty where nothing is.

    Args:
        bindings: the repository's, with their secrets.
        modes: the repository's, with their values and the values' secrets.
        approved: by repository, for where routes lead.
    """
    bound = {f"inputs.{one.input}" for one in bindings if _holds(one, contract, approved)}
    by_name = {one.resource: one for one in modes}
    used = value_keys(contract)
    lacking: list[str] = []
    for name in contract.resources:
        mode = by_name.get(name)
        if mode is None or mode.mode == Mode.DISABLED:
            continue
        bound.add(f"resources.{name}")
        if mode.mode == Mode.MANAGED_LOCAL:
            continue
        there = {
            f"resources.{name}.{value.property}"
            for value in mode.values.all()
            if value.secret is None or value.secret.in_use
        }
        lacking += [
            f"the property {key.rpartition('.')[2]} of the resource {name}"
            for key in sorted(used - there)
            if key.startswith(f"resources.{name}.")
        ]
    return [need.text for need in unbound(contract, bound)] + lacking


def _holds(binding: Binding, contract: Contract, approved: Mapping[UUID, Proposal]) -> bool:
    """Whether what an input is bound to is still there: a secret may be deleted, a service become a console."""
    if binding.source == Source.SECRET:
        return binding.secret is not None and binding.secret.in_use
    if binding.source == Source.ROUTE:
        leads = approved.get(binding.route_to_id) if binding.route_to_id else None
        there = contract_of(leads) if leads else None
        return there is not None and there.service.kind != "console" and there.ingress is not None
    return binding.source != Source.RESOURCE or binding.resource.partition(".")[0] in contract.resources
