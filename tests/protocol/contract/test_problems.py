"""Wrong structure: every problem at once, with its place, what was expected, and the nearest name."""

import pytest

from envforge_protocol.contract.problems import MAX_PROBLEMS
from tests.protocol.contract.examples import minimal, only, problems


def test_all_at_once_in_the_order_of_the_file() -> None:
    found = problems(
        """\
        version: "1"
        service:
          name: Hello World
          kind: ap
        comand: python app.py
        ports:
          web: 80
          other: {number: 3000, protocol: udp}
        runtime: {size: huge, idle_sleep: 30}
        surprise: 1
        """
    )
    assert [(one.line, one.column, one.text) for one in found] == [
        (1, 10, "version: `1` is not known here; expected 1 (write it without quotes)"),
        (3, 9, "service.name: `Hello World` cannot stand here; expected a DNS label: lower-case letters, digits and single hyphens, beginning with a letter"),
        (4, 9, "service.kind: `ap` is not known here; expected app, worker, job or console (did you mean `app`?)"),
        (5, 1, "comand: `comand` is not a key that can stand here (did you mean `command`?)"),
        (7, 8, "ports.web: is out of bounds; expected at least 1024; lower ones are the machine's own"),
        (8, 35, "ports.other.protocol: `udp` is not known here; expected http or tcp"),
        (9, 17, "runtime.size: `huge` is not known here; expected small, medium or large"),
        (9, 35, "runtime.idle_sleep: has no unit; expected a duration such as 90s, 30m or 2h"),
        (10, 1, ("surprise: `surprise` is not a key that can stand here; expected one of version, service, command, ports, routes, inputs, resources, "
         "env, setup, tests, commands, health, smoke, runtime")),
    ]  # fmt: skip


@pytest.mark.parametrize("key", ["version", "service", "command"])
def test_what_is_missing_is_named(key: str) -> None:
    found = only(minimal(without=key))
    assert found.problem == f"`{key}` is missing"
    assert found.expected


def test_what_is_missing_in_a_part_stands_at_the_part() -> None:
    found = only(minimal("setup:\n  - command: make"))
    assert (found.line, found.column, found.text[:30]) == (8, 5, "setup[0]: `name` is missing; e")


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("comands: {a: b}", "did you mean `commands`?"),
        ("Env: {}", "did you mean `env`?"),
        ("environment: {}", "did you mean `env`?"),
        ("healthcheck: {}", "did you mean `health`?"),
        ("build: make", "did you mean `setup`?"),
        ("size: large", "it belongs under `runtime`"),
        ("idle_sleep: 30m", "it belongs under `runtime`"),
        ("kind: app", "it belongs under `service`"),
        ("services: {}", "one file describes one service; each repository has its own"),
        ("image: python", "services run from the repository, not from an image"),
        ("runtime: {env: {}}", "it belongs at the top of the file"),
        ("tests: {a: {cmd: b}}", "did you mean `command`?"),
        ("setup: [{name: a, command: b, timout: 5m}]", "did you mean `timeout`?"),
        ("health: {htp: /}", "did you mean `http`?"),
        ("runtime: {size: Large}", "did you mean `large`?"),
        ("health: {tcp: wep}", "did you mean `web`?"),
    ],
)
def test_the_nearest_name(line: str, hint: str) -> None:
    assert hint in [one.hint for one in problems(minimal(line))]


@pytest.mark.parametrize(
    ("line", "path", "words"),
    [
        ("env: [A]", "env", "expected a mapping"),
        ("env: {A: [b]}", "env.A", "expected text"),
        ("env: {A-B: c}", "env.A-B", "environment variable"),
        ("setup: {a: b}", "setup", "expected a list"),
        ("setup: [make]", "setup[0]", "expected a mapping"),
        ("tests: {a: 7}", "tests.a", "not a command"),
        ("tests: {a: []}", "tests.a", "empty command"),
        ("tests: {a: ' '}", "tests.a", "empty command"),
        ("tests: {a: [make, 7]}", "tests.a", "put numbers into quotes"),
        ("tests: {a: {command: b, timeout: 7h}}", "tests.a.timeout", "expected 1s to 6h"),
        ("tests: {a: {command: b, timeout: 1m30s}}", "tests.a.timeout", "not a duration"),
        ("tests: {Unit Tests: b}", "tests.Unit Tests", "lower-case"),
        ("runtime: {idle_sleep: 1m}", "runtime.idle_sleep", "expected 5m to 12h"),
        ("smoke: {http: /, status: 42}", "smoke.status", "at least 200"),
        ("smoke: {http: /, status: 700}", "smoke.status", "at most 599"),
        ("smoke: {http: healthz}", "smoke.http", "begins with `/`"),
        ("health: {http: 'http://web/'}", "health.http", "begins with `/`"),
        ("routes: {api: /api}", "routes.api", "expected a list"),
        ("routes: {api: [api]}", "routes.api[0]", "path prefix"),
        ("routes: {api: [/api/]}", "routes.api[0]", "path prefix"),
        ("routes: {api: ['/a%2fb']}", "routes.api[0]", "path prefix"),
        ("routes: {api: [/a//b]}", "routes.api[0]", "path prefix"),
        ("inputs: {A: {kind: [secret]}}", "inputs.A.kind", "secret, literal, url or route"),
    ],
)
def test_wrong_values(line: str, path: str, words: str) -> None:
    found = [one for one in problems(minimal(line)) if one.path == path]
    assert any(words in one.text for one in found), [one.text for one in problems(minimal(line))]


@pytest.mark.parametrize("version", ["2", "true", "1.0", "0", "[1]"])
def test_another_version_is_refused(version: str) -> None:
    assert only(minimal(f"version: {version}", without="version")).expected == "1"


def test_many_problems_are_counted_and_not_all_told() -> None:
    text = minimal(*(f"unknown{n}: x" for n in range(2000)))
    found = problems(text)
    assert len(found) == MAX_PROBLEMS
    assert [one.line for one in found] == sorted(one.line for one in found)
