"""The published schema and table are current, and the schema agrees with the parser."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from envforge_protocol.contract.__main__ import with_table
from envforge_protocol.contract.resources import PROPERTIES, SECRET_PROPERTIES
from envforge_protocol.contract.schema import json_schema, json_schema_text, leaf_fields, table
from tests.protocol.contract.examples import DOCUMENT, EXAMPLES, good, minimal, problems

VALIDATOR = Draft202012Validator(json_schema())


def data(text: str) -> Any:
    return yaml.safe_load(text)


def test_the_published_schema_is_current() -> None:
    """Made by `python -m envforge_protocol.contract schema --write docs/envforge.yml.schema.json`."""
    published = Path(DOCUMENT).with_name("envforge.yml.schema.json").read_text()
    assert published == json_schema_text()
    Draft202012Validator.check_schema(json.loads(published))


def test_the_published_table_is_current() -> None:
    """Made by `python -m envforge_protocol.contract table --write docs/contract.md`."""
    assert DOCUMENT.read_text() == with_table(DOCUMENT.read_text(), table())


def test_the_documents_name_every_property_of_resources() -> None:
    text = DOCUMENT.read_text()
    for kind, properties in PROPERTIES.items():
        told = ", ".join(f"*`{one}`*" if one in SECRET_PROPERTIES else f"`{one}`" for one in properties)
        assert f"| `{kind}` | {told} |" in text


def test_each_field_is_described() -> None:
    rows = [line for line in table().splitlines() if line.startswith("| `")]
    assert len(rows) > len(leaf_fields()) > 40
    assert [row for row in rows if row.endswith("|  |")] == []


@pytest.mark.parametrize("text", [*EXAMPLES, minimal("resources: {d: {type: postgres, version: 16.2}}", "env: {A: 7, D: '${resources.d.url}'}"),
                                  minimal("tests: {a: [b, c], d: {command: e}}", "setup: [{name: a, command: [b]}]")])  # fmt: skip
def test_what_the_parser_accepts_is_valid(text: str) -> None:
    assert good(text)
    assert [error.message for error in VALIDATOR.iter_errors(data(text))] == []


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        minimal(without="service"),
        minimal(without="command"),
        minimal("version: 2", without="version"),
        minimal("version: true", without="version"),
        minimal("comand: x"),
        minimal("service: {name: Hello}", without="service"),
        minimal("service: {name: a, kind: ap}", without="service"),
        minimal("ports: {web: 80}", without="ports"),
        minimal("ports: {WEB: 8000}", without="ports"),
        minimal("ports: {web: {number: 8000, x: 1}}", without="ports"),
        minimal("env: {A: true}"),
        minimal("env: {A-B: x}"),
        minimal("env: {A: null}"),
        minimal("health: null"),
        minimal("health: {interval: 5}"),
        minimal("runtime: {size: huge}"),
        minimal("runtime: {idle_sleep: 30 minutes}"),
        minimal("routes: {api: /api}"),
        minimal("routes: {api: [api]}"),
        minimal("setup: [make]"),
        minimal("tests: {a: []}"),
        minimal("smoke: {http: /, status: '200'}"),
        minimal("inputs: {A: sekret}"),
    ],
)
def test_wrong_structure_is_refused_by_both(text: str) -> None:
    assert problems(text)
    assert [*VALIDATOR.iter_errors(data(text))]
