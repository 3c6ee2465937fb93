"""What has to fit together: references, ports, routes, checks."""

import pytest

from tests.protocol.contract.examples import good, minimal, only, problems


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ("ports: {a: 3000, b: {number: 3000, protocol: tcp}}", "ports.b", "already `a`"),
        ("ports: {a: 3000, b: 3001}", "ports", "none is the ingress"),
        (
            "ports: {a: {number: 3000, ingress: true}, b: {number: 3001, ingress: true}}",
            "ports.b.ingress",
            "already the ingress",
        ),
        ("ports: {a: 3000, b: {number: 3001, protocol: tcp, ingress: true}}", "ports.b.ingress", "tcp"),
        ("ports: {a: {number: 3000, protocol: tcp}}", "ports", "needs an http port"),
        ("ports: {}", "ports", "needs an http port"),
    ],
)
def test_ports(text: str, path: str, words: str) -> None:
    found = only(minimal(text, without="ports"))
    assert found.path == path
    assert words in found.problem


def test_an_app_without_ports_is_told_what_to_write() -> None:
    found = only(minimal(without="ports"))
    assert "ports: {web: 3000}" in found.expected
    assert "worker" in found.hint


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ("routes: {api: [/a, /a]}", "routes.api[1]", "twice"),
        ("routes: {api: [/a], assets: [/a]}", "routes.assets[0]", "already `api`"),
        ("routes: {api: [/a/../b]}", "routes.api[0]", "`..`"),
        ("routes: {api: [/.envforge/x]}", "routes.api[0]", "gateway"),
        ("routes: {forward: {/: B}}", "routes.forward./", "service's own"),
        ("routes: {forward: {/x: C}}", "routes.forward./x", "no input is named `C`"),
        ("routes: {forward: {/x: S}}", "routes.forward./x", "no input of kind `route`"),
        ("routes: {forward: {/x: 'http://backend:8000'}}", "routes.forward./x", "never to an address"),
        ("routes: {forward: {/x: backend.internal}}", "routes.forward./x", "never to an address"),
        ("routes: {forward: {/.envforge: B}}", "routes.forward./.envforge", "gateway"),
    ],
)
def test_routes(text: str, path: str, words: str) -> None:
    found = problems(
        minimal("inputs: {B: route, S: secret}", "env: {B: '${inputs.B}', S: '${inputs.S}'}", text)
    )
    assert [(one.path, words in one.problem) for one in found] == [(path, True)], [one.text for one in found]


def test_a_websocket_prefix_may_be_an_api_prefix() -> None:
    assert good(minimal("routes: {api: [/api], websockets: [/api]}"))


def test_routes_need_a_port() -> None:
    text = "{version: 1, service: {name: w, kind: worker}, command: x, routes: {assets: [/a]}}"
    assert only(text).problem == "routes need an http port"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("${inputs.STRIP_KEY}", "did you mean `STRIPE_KEY`?"),
        ("${resources.db.url}", "did you mean `dbs`?"),
        ("${resources.dbs.uri}", "did you mean `url`?"),
        ("${resources.dbs}", "begins no reference"),
        ("${ports.wob}", "did you mean `web`?"),
        ("${HOME}", "shell variables are not replaced"),
        ("a ${", "begins no reference"),
        ("${inputs.STRIPE_KEY.x}", "begins no reference"),
        ("${ inputs.STRIPE_KEY }", "begins no reference"),
    ],
)
def test_references_that_lead_nowhere(value: str, words: str) -> None:
    text = minimal(
        "inputs: {STRIPE_KEY: secret}",
        "resources: {dbs: postgres}",
        f"env: {{A: '${{inputs.STRIPE_KEY}}', B: '${{resources.dbs.url}}', C: '{value}'}}",
    )
    assert words in only(text).text
    assert only(text).path == "env.C"


@pytest.mark.parametrize("value", ["$HOME", "$${HOME}", "$", "$$", "100%", "{}", "$(x)", "a$${inputs.x}b"])
def test_other_dollars_are_text(value: str) -> None:
    assert good(minimal(f"env: {{A: '{value}'}}"))


def test_what_nothing_uses_is_an_error() -> None:
    found = problems(minimal("inputs: {A: secret, B: route}", "resources: {c: redis}"))
    assert [(one.path, one.problem) for one in found] == [
        ("inputs.A", "nothing uses it"),
        ("inputs.B", "nothing uses it"),
        ("resources.c", "nothing uses it"),
    ]
    assert "${inputs.A}" in found[0].hint
    assert good(minimal("inputs: {B: route}", "routes: {forward: {/b: B}}"))


@pytest.mark.parametrize("text", ["tests: {a: 'x ${inputs.A}'}", "setup: [{name: a, command: [x, '${inputs.A}']}]", "health: {command: 'x ${ports.web}'}",
                                  "commands: {a: {command: 'x ${resources.A.url}'}}"])  # fmt: skip
def test_commands_take_no_references(text: str) -> None:
    assert "use $NAME" in only(minimal(text)).hint


def test_a_shells_own_braces_are_left_alone() -> None:
    assert good(minimal("tests: {a: 'echo ${HOME:-x}'}"))


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ("health: {http: /, command: x}", "health", "in 2 ways"),
        ("health: {interval: 5s}", "health", "in no ways"),
        ("smoke: {status: 200, command: x}", "smoke.status", "only `http`"),
        ("health: {command: x, port: web}", "health.port", "only `http`"),
        ("health: {http: /, port: other}", "health.port", "no port is named `other`"),
        ("health: {http: /, port: raw}", "health.port", "no http port"),
        ("health: {tcp: other}", "health.tcp", "no port is named `other`"),
        ("smoke: {http: /, port: other}", "smoke.port", "no port is named `other`"),
    ],
)
def test_checks(text: str, path: str, words: str) -> None:
    found = only(minimal("ports: {web: 3000, raw: {number: 3001, protocol: tcp}}", text, without="ports"))
    assert found.path == path
    assert words in found.problem


def test_an_http_check_needs_an_http_port() -> None:
    assert (
        only("{version: 1, service: {name: w, kind: worker}, command: x, health: {http: /}}").path
        == "health.http"
    )
    assert good("{version: 1, service: {name: w, kind: worker}, command: x, health: {command: y}}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{kind: secret, default: x}", "a secret has no default"),
        ("{kind: route, default: x}", "a route has no default"),
        ("{kind: url, default: nonsense}", "is no address"),
        ("{kind: url, default: 'ftp://example.com'}", "is no address"),
    ],
)
def test_defaults(text: str, words: str) -> None:
    assert words in only(minimal(f"inputs: {{A: {text}}}", "env: {A: '${inputs.A}'}")).problem


def test_setup_steps_have_names_of_their_own() -> None:
    found = only(minimal("setup: [{name: a, command: x}, {name: a, command: y}]"))
    assert (found.path, found.problem) == ("setup[1].name", "a step named `a` stands above")


def test_rules_speak_up_although_something_else_is_wrong() -> None:
    found = problems(minimal("comand: x", "env: {A: '${inputs.X}'}", "tests: [broken]"))
    assert [one.path for one in found] == ["comand", "env.A", "tests"]
