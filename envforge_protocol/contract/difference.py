"""What changed between two contracts, in words, for whoever reviews the proposal (W2)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from enum import StrEnum
from typing import Any, Literal

from envforge_protocol.contract.model import Contract
from envforge_protocol.contract.references import references
from envforge_protocol.contract.types import seconds

MAX_DIFF_LINES = 2000

_SIZES = ("small", "medium", "large")
_LONGEST_TOLD = 200
_NOUNS = {
    "ports": "port",
    "inputs": "input",
    "resources": "resource",
    "env": "variable",
    "setup": "setup step",
    "tests": "test",
    "commands": "command",
}
_LESS_IS_HARMLESS = frozenset({"ports", "inputs", "resources", "commands", "forward", "websockets"})

Path = tuple[str, ...]
Kind = Literal["added", "removed", "changed"]


class Weight(StrEnum):
    """How closely a change wants to be looked at, the closest first."""

    WIDENS = "widens"
    """Asks for more: runs something else, takes another input or secret, opens a port or path, costs more."""
    CHANGES = "changes"
    """Works otherwise, with what it has."""
    HARMLESS = "harmless"
    """Asks for less, or only reads otherwise."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `field` is its path, such as `ports.web.number`; `text` says it in words, without a full stop."""

    field: str
    kind: Kind
    weight: Weight
    text: str

    def to_json(self) -> dict[str, str]:
        return {"field": self.field, "kind": self.kind, "weight": str(self.weight), "text": self.text}


def differences(approved: Contract | None, proposed: Contract) -> tuple[Change, ...]:
    """Every change from the approved contract (None: there is none yet), the weightiest first, then as in the file.

    Empty exactly if both have the same digest.
    """
    old = {} if approved is None else dict(_entries(approved))
    new = dict(_entries(proposed))
    changes: list[Change] = []
    for path in sorted(old.keys() | new.keys(), key=_place):
        changes += _compare(path, old.get(path), new.get(path))
    if approved is not None and _is_reordered(approved, proposed):
        changes.append(Change("setup", "changed", Weight.CHANGES, "the setup steps run in another order"))
    return tuple(sorted(changes, key=lambda change: [*Weight].index(change.weight)))


def text_difference(approved: str, proposed: str) -> str:
    """A unified difference of two files' texts; of very long ones, of their first MAX_DIFF_LINES lines."""
    old, new = ([f"{line}\n" for line in text.splitlines()[:MAX_DIFF_LINES]] for text in (approved, proposed))
    return "".join(unified_diff(old, new, "approved", "proposed"))


def _entries(contract: Contract) -> Iterator[tuple[Path, Any]]:
    """What is added, removed or changed as one thing: the service, each port, each variable, each prefix."""
    for section, content in contract.model_dump(mode="json", by_alias=True, exclude_none=True).items():
        if section in {"ports", "inputs", "resources", "env", "tests", "commands"}:
            yield from (((section, name), entry) for name, entry in content.items())
        elif section == "setup":
            yield from (((section, step.pop("name")), step) for step in content)
        elif section == "routes":
            yield from (
                ((section, "forward", prefix), name) for prefix, name in content.pop("forward").items()
            )
            yield from (
                ((section, surface, prefix), surface)
                for surface, prefixes in content.items()
                for prefix in prefixes
            )
        else:
            yield (section,), content


def _place(path: Path) -> tuple[int, Path]:
    return [*Contract.model_fields].index(path[0]), path


def _is_reordered(old: Contract, new: Contract) -> bool:
    before, after = [step.name for step in old.setup], [step.name for step in new.setup]
    return [name for name in before if name in after] != [name for name in after if name in before]


def _compare(path: Path, old: Any, new: Any) -> Iterator[Change]:
    if old is None:
        yield Change(".".join(path), "added", _weight_of_more(path, new), _told_new(path, new))
    elif new is None:
        weight = Weight.HARMLESS if _LESS_IS_HARMLESS & {*path[:2]} else Weight.CHANGES
        yield Change(
            ".".join(path),
            "removed",
            weight,
            f"no {_name(path).removeprefix('the ')} any more" if path[0] != "routes" else _told_less(path),
        )
    elif isinstance(new, dict):
        for leaf in dict.fromkeys([*old, *new]):
            if old.get(leaf) != new.get(leaf):
                yield _leaf_change((*path, leaf), old.get(leaf), new.get(leaf))
    elif old != new:
        yield _leaf_change(path, old, new)


def _leaf_change(path: Path, old: Any, new: Any) -> Change:
    before = "" if old in (None, "") else f" instead of {_told(old)}"
    after = "nothing" if new in (None, "") else _told(new)
    return Change(
        ".".join(path), "changed", _weight_of_change(path, old, new), f"{_name(path)} is {after}{before}"
    )


def _weight_of_more(path: Path, new: Any) -> Weight:
    if path[0] == "env":
        return Weight.WIDENS if references(new) else Weight.CHANGES
    if path[0] in {"health", "smoke"}:
        return Weight.WIDENS if "command" in new else Weight.CHANGES
    return Weight.WIDENS


def _weight_of_change(path: Path, old: Any, new: Any) -> Weight:
    match path:
        case (*_, "description") | ("service", "type"):
            return Weight.HARMLESS
        case (
            (*_, "command")
            | ("ports", *_)
            | ("inputs", _, "kind")
            | ("resources", _, "type")
            | ("routes", *_)
        ):
            return Weight.WIDENS
        case ("service", "kind"):
            return Weight.WIDENS if new == "app" or old == "console" else Weight.CHANGES
        case ("env", _):
            return Weight.WIDENS if {*references(new)} - {*references(old)} else Weight.CHANGES
        case ("runtime", "size"):
            return Weight.WIDENS if _SIZES.index(new) > _SIZES.index(old) else Weight.HARMLESS
        case ("runtime", "idle_sleep"):
            return Weight.WIDENS if seconds(new) > seconds(old) else Weight.HARMLESS
    return Weight.CHANGES


def _name(path: Path) -> str:
    """`the port web`, `the number of the port web`, `the health check`, `the command`."""
    if path[0] in _NOUNS:
        whole = f"the {_NOUNS[path[0]]} `{path[1]}`"
        return f"{_leaf_name(path[2])} of {whole}" if len(path) > 2 else whole
    whole = {"health": "the health check", "smoke": "the smoke check"}.get(path[0], f"the {path[0]}")
    if path[0] == "routes":
        return f"the input that answers `{path[-1]}`"
    return f"{_leaf_name(path[1])} of {whole}" if len(path) > 1 else whole


def _leaf_name(leaf: str) -> str:
    return f"the {leaf.replace('_', ' ')}"


def _told_new(path: Path, new: Any) -> str:
    match path:
        case ("routes", "forward", prefix):
            return f"`{prefix}` is answered by the input `{new}`"
        case ("routes", surface, prefix):
            return f"`{prefix}` belongs to the surface `{surface}`"
        case ("inputs", name):
            return f"new {new['kind']} input `{name}`" + (
                f": {_told(new['description'])}" if new["description"] else ""
            )
        case ("ports", name):
            return f"new port `{name}`: {new['number']}, {new['protocol']}" + (
                ", ingress" if new["ingress"] else ""
            )
        case ("resources", name):
            return f"new resource `{name}`: {new['type']} {new.get('version', '')}".rstrip()
        case ("setup" | "tests" | "commands", name):
            return f"new {_NOUNS[path[0]]} `{name}`: {_told(new['command'])}"
    return f"new: {_name(path).removeprefix('the ')}, {_told(new)}"


def _told_less(path: Path) -> str:
    if path[1] == "forward":
        return f"`{path[2]}` is answered by the service itself"
    return f"`{path[2]}` no longer belongs to the surface `{path[1]}`"


def _told(value: Any) -> str:
    if isinstance(value, dict):
        shown = {key: one for key, one in value.items() if one not in ("", False)}
        return ", ".join(f"{key.replace('_', ' ')} {_told(one)}" for key, one in shown.items())
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"`{text if len(text) <= _LONGEST_TOLD else text[:_LONGEST_TOLD] + '…'}`"
