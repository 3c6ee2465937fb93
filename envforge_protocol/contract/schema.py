"""The JSON Schema and the reference's table, generated from the model."""

import json
from collections.abc import Iterator
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from envforge_protocol.contract.model import Contract
from envforge_protocol.contract.types import DURATION, PATTERN_WORDS, duration

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Schema(GenerateJsonSchema):
    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        # None is how the model says "not there"; a file does not say it.
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        made = super().default_schema(schema)
        default = made.get("default", ...)
        if default in (None, {}, []):
            made.pop("default")
        elif made.get("pattern") == DURATION:
            made["default"] = duration(default)
        return made


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of `envforge.yml`, for editors.

    It knows structure and forms. What concerns several fields, and what is refused, is the parser's alone: whatever the
    parser accepts is valid here, not the other way round.
    """
    made = Contract.model_json_schema(by_alias=True, schema_generator=_Schema)
    tidied: dict[str, Any] = _tidied(made)
    return {"$schema": _DIALECT, "$id": "urn:envforge:contract:1", "title": "envforge.yml", **tidied}


def json_schema_text() -> str:
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _tidied(schema: Any) -> Any:
    """Without the titles that only repeat names, and with mappings closed to names of another form."""
    if isinstance(schema, list):
        return [_tidied(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    tidied = {
        key: {name: _tidied(one) for name, one in value.items()}
        if key in {"properties", "$defs"}
        else _tidied(value)
        for key, value in schema.items()
        if key != "title"
    }
    return {**tidied, "additionalProperties": False} if "patternProperties" in tidied else tidied


def table() -> str:
    """Every field with its form, default and description, as Markdown."""
    rows = ["| field | form | default | |", "|---|---|---|---|"]
    schema = json_schema()
    rows += [
        f"| `{path}` | {form} | {default} | {words} |"
        for path, form, default, words in _rows(schema, schema, "")
    ]
    return "\n".join(rows) + "\n"


def leaf_fields() -> tuple[str, ...]:
    """The paths of all fields that hold a value themselves, such as `ports.NAME.number`."""
    schema = json_schema()
    paths = [path for path, *_ in _rows(schema, schema, "")]
    return tuple(
        path for path in paths if not any(other.startswith((f"{path}.", f"{path}[")) for other in paths)
    )


def _rows(root: dict[str, Any], part: dict[str, Any], path: str) -> Iterator[tuple[str, str, str, str]]:
    required = part.get("required", [])
    for key, field in part["properties"].items():
        here = f"{path}.{key}" if path else key
        shape = _resolved(root, field)
        inner, below = _inner(root, shape)
        words = _cell(field.get("description") or shape.get("description", ""))
        yield here, _form(shape), "required" if key in required else _default(field), words
        if inner is not None:
            yield from _rows(root, inner, here + below)


def _resolved(root: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "allOf" in schema:
        return _resolved(root, schema["allOf"][0])
    if "$ref" in schema:
        found: dict[str, Any] = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
        return found
    return schema


def _inner(root: dict[str, Any], schema: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """The mapping in which more fields stand, and how its path goes on."""
    below = ""
    if "patternProperties" in schema:
        schema, below = _resolved(root, next(iter(schema["patternProperties"].values()))), ".NAME"
    elif "items" in schema:
        schema, below = _resolved(root, schema["items"]), "[]"
    whole = next((one for one in schema.get("anyOf", [schema]) if "properties" in one), None)
    return whole, below


def _form(schema: dict[str, Any]) -> str:
    if "const" in schema or "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema.get("enum", [schema.get("const")]))
    if "x-minimum" in schema:
        return f"{schema['x-minimum']} to {schema['x-maximum']}"
    if schema.get("pattern") in PATTERN_WORDS:
        return _cell(PATTERN_WORDS[schema["pattern"]])
    if "anyOf" in schema and all(one.get("type") in {"string", "array"} for one in schema["anyOf"]):
        return "text, or a list of texts"
    if schema.get("type") == "array":
        return "list"
    if schema.get("type") == "integer":
        return f"{schema['minimum']} to {schema['maximum']}"
    return {"object": "mapping", "boolean": "`true` or `false`", "string": "text"}.get(
        str(schema.get("type")), "text"
    )


def _default(field: dict[str, Any]) -> str:
    default = field.get("default")
    if default in (None, "") or isinstance(default, dict):
        return ""
    return f"`{json.dumps(default) if isinstance(default, list | bool) else default}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
