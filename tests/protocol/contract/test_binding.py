"""What a contract needs, what of it is missing in words, and the environment once all is there (S2, S3, K3)."""

import pickle
import pprint

import pytest

from envforge_protocol.contract.binding import (
    SOURCES,
    BadValues,
    environment,
    is_secret,
    required_inputs,
    unbound,
    value_keys,
)
from envforge_protocol.contract.model import InputKind
from tests.protocol.contract.examples import FULL, MINIMAL, good, minimal

VALUES = {
    "inputs.SESSION_KEY": "canary-1",
    "resources.database.url": "postgres://u:canary-2@h/d",
    "resources.cache.url": "redis://c",
}


def test_what_is_required_is_named_in_words() -> None:
    assert [need.text for need in required_inputs(good(FULL))] == [
        "the route to another service BACKEND",
        "the secret SESSION_KEY (Signs the session cookies; any long random text.)",
        "the postgres resource database",
        "the redis resource cache",
    ]
    assert required_inputs(good(MINIMAL)) == ()


def test_what_is_unbound() -> None:
    bound = {"inputs.BACKEND", "resources.database", "inputs.SOMETHING_ELSE"}
    assert [need.key for need in unbound(good(FULL), bound)] == ["inputs.SESSION_KEY", "resources.cache"]
    assert unbound(good(FULL), bound | {"inputs.SESSION_KEY", "resources.cache"}) == ()


def test_the_environment_has_what_is_declared_and_nothing_else() -> None:
    made = environment(good(FULL), {**VALUES, "inputs.UNUSED": "x"})
    assert made.reveal() == {
        "PORT": "3000",
        "DATABASE_URL": "postgres://u:canary-2@h/d",
        "REDIS_URL": "redis://c",
        "SESSION_KEY": "canary-1",
        "LOG_LEVEL": "info",
        "TILES": "https://maps.example.com/v2/tiles",
        "DEBUG": "false",
        "WORKERS": "2",
    }


def test_optional_ones_appear_when_they_have_a_value() -> None:
    made = environment(
        good(FULL),
        {**VALUES, "inputs.SENTRY_DSN": "s", "resources.mail.url": "smtp://m", "inputs.LOG_LEVEL": "debug"},
    )
    assert {"SENTRY_DSN": "s", "SMTP_URL": "smtp://m", "LOG_LEVEL": "debug"}.items() <= made.reveal().items()


def test_values_are_put_in_once_and_never_read_as_references() -> None:
    contract = good(
        minimal("inputs: {A: literal, B: secret}", "env: {A: 'x${inputs.A}y$${inputs.A}', B: '${inputs.B}'}")
    )
    assert (
        environment(contract, {"inputs.A": "${inputs.B}", "inputs.B": "s"}).reveal()["A"]
        == "x${inputs.B}y${inputs.A}"
    )


def test_missing_values_are_all_named() -> None:
    with pytest.raises(
        BadValues, match=r"inputs\.SESSION_KEY, resources\.cache\.url, resources\.database\.url"
    ):
        environment(good(FULL), {})


@pytest.mark.parametrize("value", ["canary-\0", "canary-" + "x" * 131_072])
def test_unusable_values_are_named_and_not_repeated(value: str) -> None:
    with pytest.raises(BadValues, match="SESSION_KEY") as bad:
        environment(good(FULL), {**VALUES, "inputs.SESSION_KEY": value})
    assert "canary" not in str(bad.value)


def test_values_do_not_get_out_by_accident() -> None:
    """K3: not printed, formatted, walked, pickled."""
    made = environment(good(FULL), VALUES)
    assert "canary" not in f"{made!r} {made} {pprint.pformat(made)} {[made]} {made.names}"
    with pytest.raises(TypeError):
        pickle.dumps(made)


def test_what_must_be_masked() -> None:
    contract = good(FULL)
    assert {key for key in value_keys(contract) if is_secret(contract, key)} == {
        "inputs.SESSION_KEY",
        "inputs.SENTRY_DSN",
        "resources.database.url",
        "resources.cache.url",
        "resources.mail.url",
    }


def test_every_kind_of_input_has_its_sources() -> None:
    assert SOURCES.keys() == {*InputKind.__args__}  # type: ignore[attr-defined]
    assert "literal" not in SOURCES["secret"]
