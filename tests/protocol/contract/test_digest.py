"""The digest covers what a contract means: each field's value, and nothing of how it is written (W2)."""

from copy import deepcopy
from typing import Any

import pytest
import yaml

from envforge_protocol.contract import parse
from envforge_protocol.contract.difference import differences
from envforge_protocol.contract.digest import canonical_form, digest
from envforge_protocol.contract.schema import leaf_fields
from tests.protocol.contract.examples import FULL, MINIMAL, good, minimal

# One change of each field: where in the full example, and the new value.
CHANGES: dict[str, tuple[tuple[str | int, ...], Any]] = {
    "service.name": (("service", "name"), "other"),
    "service.kind": (("service", "kind"), "worker"),
    "service.type": (("service", "type"), "node"),
    "service.description": (("service", "description"), "Other."),
    "command": (("command",), "gunicorn --bind 127.0.0.1:3000 scheduler.web"),
    "ports.NAME.number": (("ports", "admin"), 3002),
    "ports.NAME.protocol": (("ports", "metrics", "protocol"), "http"),
    "ports.NAME.ingress": (
        ("ports",),
        {
            "web": 3000,
            "admin": {"number": 3001, "ingress": True},
            "metrics": {"number": 9100, "protocol": "tcp"},
        },
    ),
    "routes.api": (("routes", "api", 0), "/rest"),
    "routes.assets": (("routes", "assets", 0), "/assets"),
    "routes.websockets": (("routes", "websockets", 0), "/ws"),
    "routes.forward": (("routes", "forward"), {"/api/work": "BACKEND"}),
    "inputs.NAME.kind": (("inputs", "SENTRY_DSN", "kind"), "literal"),
    "inputs.NAME.required": (("inputs", "SENTRY_DSN", "required"), True),
    "inputs.NAME.description": (("inputs", "SESSION_KEY", "description"), "Other."),
    "inputs.NAME.default": (("inputs", "LOG_LEVEL", "default"), "debug"),
    "resources.NAME.type": (("resources", "cache"), "postgres"),
    "resources.NAME.version": (("resources", "database", "version"), 17),
    "resources.NAME.required": (("resources", "mail", "required"), True),
    "resources.NAME.description": (("resources", "mail", "description"), "Other."),
    "env": (("env", "WORKERS"), 3),
    "setup[].name": (("setup", 0, "name"), "other"),
    "setup[].command": (("setup", 0, "command"), "make"),
    "setup[].cache_key": (("setup", 0, "cache_key", 0), "other.txt"),
    "setup[].timeout": (("setup", 0, "timeout"), "16m"),
    "tests.NAME.command": (("tests", "unit"), "pytest -x"),
    "tests.NAME.timeout": (("tests", "browser", "timeout"), "2h"),
    "tests.NAME.description": (("tests", "browser", "description"), "Other."),
    "commands.NAME.command": (("commands", "seed", "command"), "make"),
    "commands.NAME.timeout": (("commands", "seed", "timeout"), "6m"),
    "commands.NAME.description": (("commands", "seed", "description"), "Other."),
    "health.http": (("health", "http"), "/other"),
    "health.tcp": (("health",), {"tcp": "web"}),
    "health.command": (("health",), {"command": "true && x"}),
    "health.port": (("health", "port"), "admin"),
    "health.interval": (("health", "interval"), "6s"),
    "health.timeout": (("health", "timeout"), "4s"),
    "health.start_period": (("health", "start_period"), "91s"),
    "smoke.http": (("smoke", "http"), "/other"),
    "smoke.status": (("smoke", "status"), 302),
    "smoke.port": (("smoke", "port"), "admin"),
    "smoke.command": (("smoke",), {"command": "x"}),
    "smoke.timeout": (("smoke", "timeout"), "21s"),
    "runtime.size": (("runtime", "size"), "large"),
    "runtime.idle_sleep": (("runtime", "idle_sleep"), "46m"),
}


def changed(path: tuple[str | int, ...], value: Any) -> bytes:
    data = deepcopy(yaml.safe_load(FULL))
    at = data
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = value
    return yaml.safe_dump(data, sort_keys=False).encode()


def test_no_field_is_forgotten_here() -> None:
    assert CHANGES.keys() == {*leaf_fields()} - {"version"}


@pytest.mark.parametrize("field", CHANGES)
def test_each_field_changes_the_digest_and_is_told_as_a_difference(field: str) -> None:
    approved, proposed = good(FULL), parse(changed(*CHANGES[field]))
    assert digest(proposed) != digest(approved)
    assert differences(approved, proposed)
    assert differences(proposed, approved)


def test_how_it_is_written_does_not_change_it() -> None:
    text = """\
        # another comment
        runtime: {size: small, idle_sleep: 1800s}
        ports:
            web: {protocol: http, number: 8000}
        command: "python -m http.server 8000"
        routes: {websockets: ["/"]}
        service: {kind: app, 'name': hello}
        env: {}
        version: 1
        """
    assert digest(good(text)) == digest(good(MINIMAL))
    assert differences(good(MINIMAL), good(text)) == ()


def test_the_order_of_prefixes_means_nothing_and_that_of_steps_does() -> None:
    one, two = (good(minimal(f"routes: {{api: [{order}]}}")) for order in ("/a, /b", "/b, /a"))
    assert digest(one) == digest(two)
    a, b = "{name: a, command: x}", "{name: b, command: y}"
    one, two = (good(minimal(f"setup: [{order}]")) for order in (f"{a}, {b}", f"{b}, {a}"))
    assert digest(one) != digest(two)
    assert [change.text for change in differences(one, two)] == ["the setup steps run in another order"]


def test_text_and_list_commands_differ() -> None:
    one, two = (good(minimal(f"command: {command}", without="command")) for command in ("ls", "[ls]"))
    assert digest(one) != digest(two)
    assert differences(one, two)


@pytest.mark.parametrize("text", [MINIMAL, FULL])
def test_the_canonical_form_is_a_file_of_the_same_contract(text: str) -> None:
    contract = good(text)
    assert parse(canonical_form(contract)) == contract
    assert canonical_form(parse(canonical_form(contract))) == canonical_form(contract)


def test_approved_digests_stay() -> None:
    """Were these to change, every approved contract would need a new approval."""
    assert canonical_form(good(MINIMAL)) == (
        b'{"command":"python -m http.server 8000","ports":{"web":{"number":8000}},"service":{"name":"hello"},"version":1}'
    )
    assert digest(good(MINIMAL)) == "0489688b4addfecc404a7aa962801c6e021623d0f280b9975addc95f31538b3b"
