"""What a contract never says: wiring, other services' addresses, secrets (W1, S1); and that no message repeats a secret."""

import pytest

from envforge_protocol.contract import BadContract, parse
from tests.protocol.contract.examples import good, minimal, only, problems


@pytest.mark.parametrize(
    "line",
    [
        "depends_on: [db]",
        "runtime: {depends_on: db}",
        "tests: {a: {command: b, depends_on: [c]}}",
        "env: {depends_on: x}",
        "dependsOn: []",
    ],
)
def test_depends_on_is_refused_anywhere_with_its_reason(line: str) -> None:
    found = only(minimal(line))
    assert "not wired to each other" in found.problem
    assert "binding" in found.hint


@pytest.mark.parametrize(
    "value",
    [
        "http://backend:8000",
        "http://backend/api",
        "ws://backend",
        "https://backend.internal/x",
        "postgres://db/app",
        "postgres://app:${inputs.P}@db:5432/app",
        "redis://cache:6379/0,redis://other:6379",
        "backend:8000",
        "db:5432",
        "http://localhost:9999",
        "http://localhost",
        "http://127.0.0.1:5432",
        "http://[::1]:9999/",
        "localhost:5432",
        "10.0.0.7:8080",
        "http://10.0.0.7/",
        "http://192.168.1.4:8000",
        "http://169.254.169.254/latest",
        "http://[fd00::1]:80/",
        "api.prod.internal",
        "host.docker.internal",
        "db.default.svc.cluster.local",
        "a=1;b=printer.local;c=2",
        "web--feature--acme.dev.envforge.ai",
        "HTTP://BACKEND:8000",
    ],
)
def test_addresses_of_other_services_are_refused(value: str) -> None:
    found = problems(minimal("inputs: {P: secret}", f"env: {{Q: '${{inputs.P}}', B: '{value}'}}"))
    assert [one.path for one in found] == ["env.B"]
    assert "knows its own service alone" in found[0].problem
    assert found == problems(minimal("inputs: {P: secret}", f"env: {{Q: '${{inputs.P}}', B: '{value}'}}"))
    if "$" not in value:
        defaults = problems(
            minimal(f"inputs: {{U: {{kind: literal, default: '{value}'}}}}", "env: {U: '${inputs.U}'}")
        )
        assert [one.path for one in defaults] == ["inputs.U.default"]


@pytest.mark.parametrize(
    "value",
    [
        "https://api.stripe.com/v1",
        "http://localhost:8000",
        "0.0.0.0:8000",
        "127.0.0.1:8000",
        "http://8.8.8.8/",
        "backend",
        "app.module:application",
        "redis:7",
        "12:30",
        "a:b:c",
        "internal",
        "my.internals",
        "info,sqlalchemy:debug",
        "https://user-content.example.com:8443/a?b=c:d",
        "${inputs.B}/v2",
        "http://${inputs.B}:8000",
    ],
)
def test_other_text_is_not(value: str) -> None:
    assert good(minimal("inputs: {B: url}", f"env: {{A: '{value}', B: '${{inputs.B}}'}}"))


@pytest.mark.parametrize(("name", "value", "refused"), [
    ("DB_HOST", "db", True), ("PGHOST_HOST", "10.0.0.1", True), ("DB_HOST", "${inputs.H}", False),
    ("BIND_HOST", "127.0.0.1", False), ("HOST", "localhost", False), ("API_HOST", "api.example.com", False),
])  # fmt: skip
def test_bare_hosts_in_variables_of_hosts(name: str, value: str, refused: bool) -> None:
    text = minimal("inputs: {H: literal}", f"env: {{H: '${{inputs.H}}', {name}: '{value}'}}")
    if refused:
        assert only(text).path == f"env.{name}"
    else:
        assert good(text)


CREDENTIALS = {
    "a Stripe key": "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "an AWS access key": "AKIAIOSFODNN7EXAMPLE",
    "a GitHub token": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "a password in an address": "postgres://app:hunter2hunter2@db.example.com/app",
    "a private key": "-----BEGIN RSA PRIVATE KEY-----",
}
PLACES = (
    "env: {{A: '{}'}}",
    "tests: {{a: 'run {}'}}",
    "tests: {{a: [run, '{}']}}",
    "setup: [{{name: a, command: b, cache_key: ['{}']}}]",
    "inputs: {{A: {{kind: literal, default: '{}'}}}}",
    "inputs: {{A: '{}'}}",
    "inputs: {{A: {{kind: literal, description: '{}'}}}}",
    "env: {{'{}': x}}",
    "'{}': x",
    "runtime: {{size: '{}'}}",
    "runtime: {{idle_sleep: '{}'}}",
    "health: {{tcp: '{}'}}",
    "routes: {{forward: {{/x: '{}'}}}}",
    "ports: {{web: '{}'}}",
)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", CREDENTIALS)
def test_a_credential_is_refused_wherever_it_stands_and_never_repeated(place: str, kind: str) -> None:
    secret = CREDENTIALS[kind]
    with pytest.raises(BadContract) as bad:
        parse(minimal(place.format(secret), without="ports" if "ports" in place else "nothing").encode())
    assert any(kind in one.problem for one in bad.value.problems)
    told = repr(bad.value) + str(bad.value) + repr(bad.value.problems)
    assert secret not in told
    assert "hunter2" not in told


@pytest.mark.parametrize(
    "name",
    [
        "API_TOKEN",
        "DB_PASSWORD",
        "client_secret",
        "SECRET_KEY",
        "SECRET_KEY_BASE",
        "AWS_SECRET_ACCESS_KEY",
        "OPENAI_API_KEY",
        "PASSWORD",
    ],
)
def test_literal_text_in_a_variable_named_like_a_secret(name: str) -> None:
    found = only(minimal(f"env: {{{name}: correct-horse}}"))
    assert found.path == f"env.{name}"
    assert "correct-horse" not in found.text
    assert "inputs" in found.hint
    assert good(minimal("inputs: {X: secret}", f"env: {{{name}: '${{inputs.X}}'}}"))
    assert (
        "a secret has no default"
        in only(
            minimal(f"inputs: {{{name}: {{kind: literal, default: x}}}}", f"env: {{A: '${{inputs.{name}}}'}}")
        ).problem
    )


@pytest.mark.parametrize(
    "name", ["TOKEN_TTL", "MAX_TOKENS", "PASSWORD_MIN_LENGTH", "TOKENIZER", "PUBLIC_KEY", "COMPASS"]
)
def test_other_names_take_literal_text(name: str) -> None:
    assert good(minimal(f"env: {{{name}: '5'}}"))


def test_what_might_be_a_secret_in_a_wrong_place_is_not_repeated() -> None:
    for value in (
        "hunter2hunter2hunter2",
        "c2VjcmV0LXZhbHVl!!",
        "x" * 41,
        "9f86d081884c7d659a2feaa0c55ad015",
    ):
        for line in (
            f"runtime: {{size: '{value}'}}",
            f"'{value}': a",
            f"inputs: {{A: '{value}'}}",
            f"env: {{'{value}': a, B: '${{inputs.{value}}}'}}",
        ):
            assert value not in "".join(one.text for one in problems(minimal(line))), line


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "HOME",
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "ENVFORGE_TOKEN_FILE",
        "SSH_AUTH_SOCK",
        "BASH_ENV",
        "path",
    ],
)
def test_reserved_variables(name: str) -> None:
    found = only(minimal(f"env: {{{name}: x}}"))
    assert "set by EnvForge" in found.problem


@pytest.mark.parametrize(
    "file", ["/etc/passwd", "../other/lock", "a/../../b", "~/x", "..", "C:/x", "a\\..\\b"]
)
def test_files_stay_in_the_repository(file: str) -> None:
    found = only(minimal(f"setup: [{{name: a, command: b, cache_key: ['{file}']}}]"))
    assert found.path == "setup[0].cache_key[0]"
    assert "repository" in found.text
