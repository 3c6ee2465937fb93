"""A service's environment as its manifest carries it: plain texts, and the names of references in place of secrets (S3, W1)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from envforge_protocol.contract import Contract
from envforge_protocol.contract.references import Reference, split
from envforge_protocol.contract.resources import PROPERTIES
from projects.choices import Mode, Source
from projects.models import Binding, ResourceMode
from workspaces.contracts import Chosen

# What the VM would take for a reference (envforge_daemon.services.values), were it not marked as plain text.
_LOOKS_LIKE_ONE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_.-]*\}")


@dataclass(frozen=True, slots=True)
class Plain:
    """A value that is no secret."""

    text: str


@dataclass(frozen=True, slots=True)
class FromSecret:
    """A value that lies in the secret of this name."""

    secret: str


@dataclass(frozen=True, slots=True)
class FromResource:
    """A property of a resource that the VM itself runs, and whose value it alone knows."""

    resource: str
    property: str


Value = Plain | FromSecret | FromResource


@dataclass(slots=True)
class Environment:
    """`texts` by variable; `secrets` by the name that stands in them as `${name}`; `resources` that the VM is to run for it."""

    texts: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    resources: set[str] = field(default_factory=set)


def values_of(
    contract: Contract, bindings: list[Binding], modes: list[ResourceMode], leads: Mapping[UUID, Chosen]
) -> dict[str, Value]:
    """What each key of `envforge_protocol.contract.binding.value_keys` is, as far as it is bound.

    Args:
        bindings: the repository's, with their secrets.
        modes: the repository's, with their values and the values' secrets.
        leads: by repository, the contracts of this wake: where routes lead.
    """
    found = _resources(contract, modes)
    for one in bindings:
        bound = _bound(one, found, leads)
        if bound is not None:
            found[f"inputs.{one.input}"] = bound
    for name, given_input in contract.inputs.items():
        if given_input.default is not None:
            found.setdefault(f"inputs.{name}", Plain(given_input.default))
    for name, port in contract.ports.items():
        found[f"ports.{name}"] = Plain(str(port.number))
    return found


def environment(contract: Contract, values: Mapping[str, Value]) -> Environment:
    """The contract's environment; a variable that needs what is not there is left out (what is required was asked for before)."""
    made = Environment()
    for variable, text in contract.env.items():
        pieces: list[str] = []
        secrets: dict[str, str] = {}
        resources: set[str] = set()
        for piece in split(text):
            value = Plain(piece) if isinstance(piece, str) else None
            if isinstance(piece, Reference):
                value = values.get(piece.key)  # type: ignore[assignment]
            if value is None:
                break
            pieces.append(_written(piece, value, secrets, resources))
        else:
            made.texts[variable] = "".join(pieces)
            made.secrets |= secrets
            made.resources |= resources
    return made


def _written(piece: object, value: Value, secrets: dict[str, str], resources: set[str]) -> str:
    if isinstance(value, Plain):
        return _LOOKS_LIKE_ONE.sub(lambda found: f"${found[0]}", value.text)
    if isinstance(value, FromResource):
        resources.add(value.resource)
        return f"${{resources.{value.resource}.{value.property}}}"
    assert isinstance(piece, Reference)  # noqa: S101 - a text is Plain; for the types
    # Not `resources.`: those the VM fills in by itself.
    name = piece.key.replace("resources.", "given.", 1)
    secrets[name] = value.secret
    return f"${{{name}}}"


def _resources(contract: Contract, modes: list[ResourceMode]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for mode in modes:
        declared = contract.resources.get(mode.resource)
        if declared is None or mode.mode == Mode.DISABLED:
            continue
        if mode.mode == Mode.MANAGED_LOCAL:
            for name in PROPERTIES[declared.type]:
                found[f"resources.{mode.resource}.{name}"] = FromResource(mode.resource, name)
            continue
        for given in mode.values.all():
            if given.secret and not given.secret.in_use:
                continue
            value: Value = FromSecret(given.secret.name) if given.secret else Plain(given.literal)
            found[f"resources.{mode.resource}.{given.property}"] = value
    return found


def _bound(one: Binding, resources: Mapping[str, Value], leads: Mapping[UUID, Chosen]) -> Value | None:
    if one.source == Source.LITERAL:
        return Plain(one.literal)
    if one.source == Source.SECRET:
        return FromSecret(one.secret.name) if one.secret and one.secret.in_use else None
    if one.source == Source.RESOURCE:
        return resources.get(f"resources.{one.resource}")
    there = leads.get(one.route_to_id) if one.route_to_id else None
    if there is None or there.contract.ingress is None:
        return None
    # Services of one workspace share its network namespace (THREATS H3): the other one is on loopback.
    return Plain(f"http://127.0.0.1:{there.contract.ports[there.contract.ingress].number}")
