"""Puts the model's complaints into words, each with its place and the nearest name."""

from collections.abc import Iterator, Mapping
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from envforge_protocol.contract.model import Contract, Part
from envforge_protocol.contract.problems import Path, nearest, quoted
from envforge_protocol.contract.tree import Place, Tree
from envforge_protocol.contract.types import PATTERN_WORDS

# What other formats call it.
_ALSO_CALLED = {
    "args": "command",
    "cmd": "command",
    "entrypoint": "command",
    "exec": "command",
    "run": "command",
    "script": "command",
    "start": "command",
    "environment": "env",
    "envs": "env",
    "variables": "env",
    "healthcheck": "health",
    "readiness": "health",
    "expose": "ports",
    "port": "ports",
    "build": "setup",
    "install": "setup",
    "steps": "setup",
    "databases": "resources",
    "secrets": "inputs",
    "vars": "inputs",
    "language": "type",
    "cache": "cache_key",
    "path": "http",
    "url": "http",
}
_BELONGS = {
    "services": "one file describes one service; each repository has its own",
    "image": "services run from the repository, not from an image",
}
_NOT_YAML_1_1 = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
_SHAPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
}


def complain(tree: Tree) -> Contract | None:
    """The contract, or None after a problem was added to the tree for everything that has the wrong structure."""
    try:
        return Contract.model_validate(tree.data)
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False, include_input=False)
    mistyped = {
        (*error["loc"][:-1], near)
        for error in errors
        if error["type"] == "extra_forbidden" and (near := _meant(error["loc"]))
    }
    for error in errors:
        # A key that was found under a mistyped name is not missing too.
        if error["type"] != "missing" or error["loc"] not in mistyped:
            _tell(tree, error)
    return None


def _tell(tree: Tree, error: ErrorDetails) -> None:
    path: Path = error["loc"]
    context: Mapping[str, Any] = error.get("ctx", {})
    kind = error["type"]
    if path[-1:] == ("[key]",):
        pattern = PATTERN_WORDS.get(context.get("pattern", ""), "a shorter name")
        tree.complain(
            path[:-1],
            f"{quoted(str(path[-2]))} is not a name that can stand here",
            expected=pattern,
            at_key=True,
        )
    elif kind == "extra_forbidden":
        _unknown_key(tree, path)
    elif kind == "missing":
        tree.complain(
            path, f"`{path[-1]}` is missing", expected=_described(path), at_key=_is_in_mapping(path)
        )
    else:
        _, place = tree.nearest_place(path)
        given = _at(tree.data, path)
        problem, expected, hint = _wrong_value(kind, context, given, place, str(error["msg"]))
        tree.complain(path, problem, expected=expected, hint=hint)


def _wrong_value(
    kind: str, context: Mapping[str, Any], given: Any, place: Place, message: str
) -> tuple[str, str, str]:
    if kind == "envforge":
        problem, _, expected = message.partition("; expected ")
        return problem, expected, ""
    if kind in _SHAPES:
        return f"is {_shape(given)}", _SHAPES[kind], _spelling(kind, given, place)
    if kind in {"literal_error", "enum"}:
        known = [str(one) for one in context["expected"].replace(" or ", ", ").replace("'", "").split(", ")]
        near = nearest(given, known) if isinstance(given, str) else None
        said = (
            quoted(str(given))
            if isinstance(given, str | int) and not isinstance(given, bool)
            else _shape(given)
        )
        unquoted = isinstance(given, str) and given == "1" and known == ["1"]
        hint = "write it without quotes" if unquoted else f"did you mean `{near}`?" if near else ""
        return (
            f"{said} is not known here",
            " or ".join([", ".join(known[:-1]), known[-1]] if len(known) > 1 else known),
            hint,
        )
    if kind == "string_pattern_mismatch":
        said = quoted(given) if isinstance(given, str) else "this"
        return f"{said} cannot stand here", PATTERN_WORDS[context["pattern"]], ""
    if kind in {"greater_than_equal", "less_than_equal"}:
        return "is out of bounds", _bounds(kind, context), ""
    if kind in {"too_long", "string_too_long"}:
        unit = "characters" if kind == "string_too_long" else "entries"
        return "is too long", f"at most {context['max_length']} {unit}", ""
    return "is not valid", "", ""


def _bounds(kind: str, context: Mapping[str, Any]) -> str:
    if kind == "less_than_equal":
        return f"at most {context['le']}"
    privileged = "; lower ones are the machine's own" if context["ge"] == 1024 else ""
    return f"at least {context['ge']}{privileged}"


def _spelling(kind: str, given: Any, place: Place) -> str:
    written = place.written
    if kind == "bool_type" and isinstance(given, str):
        meant = _NOT_YAML_1_1.get(given.lower()) or (
            given.lower() if given.lower() in {"true", "false"} else None
        )
        return f"write {meant}" if meant else ""
    if kind == "int_type" and isinstance(given, str):
        if written is None and given.isascii() and given.isdigit():
            return "write it without quotes"
        return (
            "write it in plain decimal digits, without leading zeros, `0x`, `_` or `:`"
            if given[:1].isdigit()
            else ""
        )
    if kind == "string_type" and written is not None:
        return f'as text it needs quotes: "{written}"' if isinstance(given, bool | int) else ""
    return ""


def _shape(given: Any) -> str:
    for kind, words in (
        (bool, "true or false"),
        (int, "a number"),
        (str, "text"),
        (dict, "a mapping"),
        (list, "a list"),
    ):
        if isinstance(given, kind):
            return words
    return "empty"


def _unknown_key(tree: Tree, path: Path) -> None:
    key = str(path[-1])
    homes = _homes().get(key, ())
    if key in _BELONGS:
        hint = _BELONGS[key]
    elif homes:
        hint = f"it belongs under `{homes[0]}`" if homes[0] else "it belongs at the top of the file"
    else:
        near = _meant(path)
        hint = f"did you mean `{near}`?" if near else ""
    expected = "" if hint else "one of " + ", ".join(_keys(path[:-1]))
    tree.complain(
        path, f"{quoted(key)} is not a key that can stand here", expected=expected, hint=hint, at_key=True
    )


def _meant(path: Path) -> str | None:
    """The key that somebody probably meant who wrote this unknown one."""
    key, known = str(path[-1]), _keys(path[:-1])
    other_name = _ALSO_CALLED.get(key.lower(), "")
    return other_name if other_name in known else nearest(key, known)


def _is_in_mapping(path: Path) -> bool:
    return len(path) > 1 and isinstance(path[-2], str)


def _described(path: Path) -> str:
    field = _fields(_part_at(path[:-1])).get(str(path[-1]))
    text = (field.description or "") if field is not None else ""
    return text.split(". ")[0].rstrip(".")[:200]


def _at(data: Any, path: Path) -> Any:
    for part in path:
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            # A short form: the value itself is what the field got.
            return data
    return data


def _keys(path: Path) -> tuple[str, ...]:
    return tuple(_fields(_part_at(path)))


def _fields(part: type[Part] | None) -> dict[str, Any]:
    return {} if part is None else {field.alias or name: field for name, field in part.model_fields.items()}


def _part_at(path: Path) -> type[Part] | None:
    """The model that reads a path's mapping."""
    annotation: Any = Contract
    for part in path:
        if isinstance(annotation, type) and issubclass(annotation, Part):
            field = _fields(annotation).get(str(part))
            annotation = field.annotation if field is not None else None
        else:
            annotation = next(reversed([one for one in get_args(annotation) if one is not ...]), None)
        annotation = _bare(annotation)
    return annotation if isinstance(annotation, type) and issubclass(annotation, Part) else None


def _bare(annotation: Any) -> Any:
    while get_origin(annotation) in {Annotated, Union, UnionType}:
        annotation = get_args(annotation)[0]
    return annotation


@cache
def _homes() -> dict[str, tuple[str, ...]]:
    """Where each key that does not stand at the top belongs."""
    homes: dict[str, tuple[str, ...]] = {}
    for name, path in _all_keys(Contract, ()):
        homes[name] = (*homes.get(name, ()), ".".join(path))
    return homes


def _all_keys(part: type[Part], path: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name, field in _fields(part).items():
        yield name, path
        inner = _bare(field.annotation)
        if isinstance(inner, type) and issubclass(inner, Part):
            yield from _all_keys(inner, (*path, name))
