"""What a contract needs from outside, what of it is missing, and the environment once all is there (S3).

Values are named by what is referred to: `inputs.NAME` and `resources.NAME.PROPERTY`; bindings by `inputs.NAME` and
`resources.NAME`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn

from envforge_protocol.contract.model import Contract, InputKind
from envforge_protocol.contract.references import Reference, references, split
from envforge_protocol.contract.resources import SECRET_PROPERTIES

Source = Literal["secret", "literal", "route", "resource"]

SOURCES: Mapping[InputKind, frozenset[Source]] = {
    "secret": frozenset({"secret", "resource"}),
    "literal": frozenset({"literal"}),
    "url": frozenset({"literal"}),
    "route": frozenset({"route"}),
}
"""Where a project's binding may take an input of each kind from."""

MAX_VARIABLE_BYTES = 128 * 1024 - 1
"""Linux takes no longer `NAME=value` (MAX_ARG_STRLEN, with its closing NUL)."""


class BadValues(ValueError):
    """Values are missing or cannot be used; the text names them and holds none of them."""


@dataclass(frozen=True, slots=True)
class Need:
    """Something a project has to bind: `key` is `inputs.NAME` or `resources.NAME`, `kind` the input's kind or resource's type."""

    key: str
    kind: str
    description: str

    @property
    def text(self) -> str:
        """In words: `the secret STRIPE_KEY (charges cards)`."""
        scope, _, name = self.key.partition(".")
        what = {"secret": "secret", "literal": "text", "url": "address", "route": "route to another service"}
        told = f"the {what[self.kind]} {name}" if scope == "inputs" else f"the {self.kind} resource {name}"
        return f"{told} ({self.description})" if self.description else told


def required_inputs(contract: Contract) -> tuple[Need, ...]:
    """What must be bound before the service can start: required inputs without a default, and required resources."""
    needs = [
        Need(f"inputs.{name}", given.kind, given.description)
        for name, given in contract.inputs.items()
        if given.required and given.default is None
    ]
    needs += [
        Need(f"resources.{name}", given.type, given.description)
        for name, given in contract.resources.items()
        if given.required
    ]
    return tuple(needs)


def unbound(contract: Contract, bound: Collection[str]) -> tuple[Need, ...]:
    """What is required and not among the bound keys; empty means that the service can wake."""
    return tuple(need for need in required_inputs(contract) if need.key not in bound)


def value_keys(contract: Contract) -> frozenset[str]:
    """The keys of all values that the environment refers to, such as `resources.database.url`; ports are not among them."""
    used = (one for text in contract.env.values() for one in references(text))
    return frozenset(one.key for one in used if one.scope != "ports")


def is_secret(contract: Contract, key: str) -> bool:
    """Whether the value under a key of `value_keys` must be masked wherever it could be seen."""
    scope, name, *rest = key.split(".")
    if scope == "inputs":
        return contract.inputs[name].kind == "secret"
    return rest[0] in SECRET_PROPERTIES


class Environment:
    """A service's environment. `reveal()` is the only way to its values; `names` may be shown."""

    __slots__ = ("_reveal", "names")
    _reveal: Callable[[], dict[str, str]]

    def __init__(self, variables: Mapping[str, str]) -> None:
        # A closure and not an attribute: what walks attributes finds no value.
        self._reveal = lambda: dict(variables)
        self.names = tuple(variables)

    def reveal(self) -> dict[str, str]:
        """The variables with their values."""
        return self._reveal()

    def __repr__(self) -> str:
        return f"Environment({', '.join(self.names)})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("An environment cannot be pickled or copied.")


def environment(contract: Contract, values: Mapping[str, str]) -> Environment:
    """Put values into the contract's environment; pure, and the same for the same values.

    An input without a value takes its default. A variable that needs an input or resource which is not required and has
    no value is left out. Values that no variable refers to are not looked at.

    Raises:
        BadValues: a required value is missing, or a value has a NUL or is too long.
    """
    missing: list[str] = []
    unusable: list[str] = []
    variables: dict[str, str] = {}
    for variable, text in contract.env.items():
        pieces: list[str] = []
        for piece in split(text):
            if isinstance(piece, str):
                pieces.append(piece)
            elif isinstance(piece, Reference):
                value = _value(contract, piece, values)
                if value is not None:
                    pieces.append(value)
                    continue
                if _is_required(contract, piece):
                    missing.append(piece.key)
                break
        else:
            whole = "".join(pieces)
            if (
                "\0" in whole
                or len(f"{variable}={whole}".encode(errors="surrogateescape")) > MAX_VARIABLE_BYTES
            ):
                unusable.append(variable)
            variables[variable] = whole
    if missing:
        raise BadValues(f"These have no value: {', '.join(sorted(set(missing)))}. Bind them in the project.")
    if unusable:
        raise BadValues(f"These variables hold a NUL or are longer than 128 KiB: {', '.join(unusable)}.")
    return Environment(variables)


def _value(contract: Contract, reference: Reference, values: Mapping[str, str]) -> str | None:
    if reference.scope == "ports":
        return str(contract.ports[reference.name].number)
    value = values.get(reference.key)
    if value is None and reference.scope == "inputs":
        return contract.inputs[reference.name].default
    return value


def _is_required(contract: Contract, reference: Reference) -> bool:
    declared = contract.inputs if reference.scope == "inputs" else contract.resources
    return declared[reference.name].required
