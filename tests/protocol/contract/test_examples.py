"""The documents' examples are contracts, and mean what the document says (W1)."""

import pytest

from envforge_protocol.contract import Contract
from envforge_protocol.contract.types import argv, duration, seconds
from tests.protocol.contract.examples import EXAMPLES, FULL, MINIMAL, good, minimal


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_is_a_contract(text: str) -> None:
    assert isinstance(good(text), Contract)


def test_the_smallest_has_all_defaults() -> None:
    """These are part of version 1: a digest leaves them out, so they never change."""
    assert good(MINIMAL).model_dump(by_alias=True) == {
        "version": 1,
        "service": {"name": "hello", "kind": "app", "type": "other", "description": ""},
        "command": "python -m http.server 8000",
        "ports": {"web": {"number": 8000, "protocol": "http", "ingress": False}},
        "routes": {"api": ("/api",), "assets": (), "websockets": ("/",), "forward": {}},
        "inputs": {},
        "resources": {},
        "env": {},
        "setup": (),
        "tests": {},
        "commands": {},
        "health": None,
        "smoke": None,
        "runtime": {"size": "small", "idle_sleep": "30m"},
    }


def test_the_defaults_of_parts_never_change_either() -> None:
    contract = good(
        minimal(
            "inputs: {A: secret}",
            "resources: {d: postgres}",
            "env: {A: '${inputs.A}', D: '${resources.d.url}'}",
            "setup: [{name: a, command: a}]",
            "tests: {a: a}",
            "commands: {a: a}",
            "health: {http: /}",
            "smoke: {http: /}",
        )
    )
    run = {"command": "a", "timeout_s": 1800, "description": ""}
    assert contract.inputs["A"].model_dump() == {
        "kind": "secret",
        "required": True,
        "description": "",
        "default": None,
    }
    assert contract.resources["d"].model_dump() == {
        "type": "postgres",
        "version": None,
        "required": True,
        "description": "",
    }
    assert (contract.setup[0].cache_key, contract.setup[0].timeout_s) == ((), 600)
    assert {name: getattr(contract.tests["a"], name) for name in run} == run
    assert {name: getattr(contract.commands["a"], name) for name in run} == run
    assert contract.health is not None
    assert (contract.health.interval_s, contract.health.timeout_s, contract.health.start_period_s) == (
        5,
        3,
        120,
    )
    assert contract.smoke is not None
    assert (contract.smoke.status, contract.smoke.timeout_s) == (200, 30)


def test_the_full_one_is_read_as_it_looks() -> None:
    contract = good(FULL)
    assert contract.command == ("gunicorn", "--bind", "127.0.0.1:3000", "scheduler.web")
    assert contract.ports["admin"].number == 3001
    assert contract.ingress == "web"
    assert contract.routes.forward == {"/api/jobs": "BACKEND"}
    assert contract.resources["database"].version == "16"
    assert contract.env["WORKERS"] == "2"
    assert contract.env["DEBUG"] == "false"
    assert [step.name for step in contract.setup] == ["install", "migrate"]
    assert contract.setup[0].timeout_s == 900
    assert contract.tests["unit"].command == "pytest -q"
    assert contract.runtime.idle_sleep_s == 45 * 60


def test_text_is_run_by_a_shell_and_a_list_as_it_is() -> None:
    assert argv("a && b") == ("/bin/sh", "-c", "a && b")
    assert argv(("a", "&&", "b")) == ("a", "&&", "b")


@pytest.mark.parametrize(
    ("kind", "linkable"), [("app", True), ("worker", False), ("job", False), ("console", False)]
)
def test_apps_alone_are_linkable(kind: str, linkable: bool) -> None:
    """L1, L5: a console never is, even with an http port."""
    assert good(minimal(f"service: {{name: hello, kind: {kind}}}", without="service")).is_linkable is linkable


def test_a_worker_needs_no_port() -> None:
    contract = good("{version: 1, service: {name: w, kind: worker}, command: ./work}")
    assert contract.ingress is None


@pytest.mark.parametrize(
    ("written", "length"), [("1s", 1), ("90s", 90), ("2m", 120), ("45m", 2700), ("2h", 7200)]
)
def test_durations(written: str, length: int) -> None:
    assert seconds(written) == length
    assert duration(length) == written


def test_a_contract_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        good(MINIMAL).command = "other"
