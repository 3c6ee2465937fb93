"""The CloudFormation template as values: read with its short tags, and resolved for one sample account."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
TEMPLATE = REPOSITORY / "deploy" / "aws" / "envforge.yaml"
ACCOUNT = "123456789012"
REGION = "eu-central-1"


class _Loader(yaml.SafeLoader):
    """YAML where `!Sub text` is `{"Fn::Sub": "text"}`, as CloudFormation reads it."""


def _tagged(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _tagged)


def load() -> dict[str, Any]:
    document: dict[str, Any] = yaml.load(TEMPLATE.read_text(), Loader=_Loader)  # noqa: S506 - a SafeLoader
    return document


def resolve(value: Any, names: dict[str, str]) -> Any:
    """The value with its references filled in from `names`: `Name` for !Ref, `Name.Attribute` for !GetAtt.

    Raises KeyError: the value refers to something that `names` does not know.
    """
    if isinstance(value, list):
        return [resolve(one, names) for one in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        kind, argument = next(iter(value.items()))
        if kind in _FUNCTIONS:
            return _FUNCTIONS[kind](argument, names)
    return {key: resolve(one, names) for key, one in value.items()}


def _join(argument: Any, names: dict[str, str]) -> str:
    separator, parts = argument
    return str(separator).join(resolve(parts, names))


def _sub(text: str, names: dict[str, str]) -> str:
    """`${Name}` is filled in, `${!Name}` is the text `${Name}`."""

    def one(found: re.Match[str]) -> str:
        inner = found[1]
        return f"${{{inner[1:]}}}" if inner.startswith("!") else names[inner]

    return re.sub(r"\$\{([^}]+)\}", one, text)


_FUNCTIONS: dict[str, Callable[[Any, dict[str, str]], Any]] = {
    "Ref": lambda argument, names: names[argument],
    "Fn::GetAtt": lambda argument, names: names[".".join(argument)],
    "Fn::Sub": _sub,
    "Fn::Join": _join,
}
