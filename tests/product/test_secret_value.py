"""S1, K3: a secret value cannot get out by accident; a test for each way out."""

import copy
import io
import json
import logging
import pickle
import pprint
import sys
import traceback
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from django.core import serializers
from django.core.serializers.json import DjangoJSONEncoder
from django.test import RequestFactory
from django.views.debug import ExceptionReporter, technical_500_response
from kombu import serialization
from kombu.exceptions import EncodeError
from kombu.utils.json import dumps as kombu_json

from envforge import logs
from envforge.celery import app
from envforge.secret_value import MASK, SecretValue, SecretValueLeak

CANARY = "canary-7f3a9e55d1"

# The libraries' functions carry no types.
Way = Callable[..., Any]
kombu_dumps: Way = serialization.dumps


@pytest.fixture
def value() -> SecretValue:
    return SecretValue(CANARY)


def test_it_can_be_used(value: SecretValue) -> None:
    assert value.reveal() == CANARY
    assert SecretValue(CANARY.encode()).reveal_text() == CANARY
    assert bool(value)
    assert not SecretValue("")


@pytest.mark.parametrize(
    "way",
    [
        repr,
        str,
        ascii,
        pprint.pformat,
        "{}".format,
        "{!r:>40}".format,
        lambda v: f"{v}",
        lambda v: str([v, {"a": v}]),
        lambda v: "%s" % v,  # noqa: UP031 - one of the ways
    ],
    ids=["repr", "str", "ascii", "pprint", "format", "format-r", "f-string", "nested", "percent"],
)
def test_text_of_it_is_a_mask(value: SecretValue, way: Way) -> None:
    text = way(value)
    assert CANARY not in text
    assert MASK in text


@pytest.mark.parametrize(
    "way",
    [
        pickle.dumps,
        copy.deepcopy,
        list,
        bytes,
        len,
        json.dumps,
        lambda v: json.dumps({"a": v}, cls=DjangoJSONEncoder),
        kombu_json,
        lambda v: kombu_dumps({"args": [v]}, serializer="json"),
        lambda v: kombu_dumps({"args": [v]}, serializer="pickle"),
        lambda v: serializers.serialize("json", [v]),
        lambda v: v + "x",
        lambda v: "x".join([v]),
        lambda v: io.StringIO().write(v),
        lambda v: v.encode(),
        lambda v: v.__dict__,
        vars,
    ],
)
def test_it_cannot_be_serialized_or_taken_apart(value: SecretValue, way: Way) -> None:
    with pytest.raises((SecretValueLeak, TypeError, AttributeError, EncodeError)) as refused:
        way(value)
    assert CANARY not in str(refused.value)


def test_it_cannot_be_put_into_a_task(value: SecretValue) -> None:
    with pytest.raises(EncodeError) as refused:
        app.send_task("envforge.health.heartbeat", args=[value])
    assert CANARY not in "".join(traceback.format_exception(refused.value))


def test_equal_values_are_not_equal(value: SecretValue) -> None:
    """Comparing would leak through timing and through assertion messages."""
    assert value != SecretValue(CANARY)
    assert value != CANARY


@pytest.mark.parametrize("form", ["json", "text"])
def test_logs_do_not_show_it(value: SecretValue, form: str, capfd: pytest.CaptureFixture[str]) -> None:
    before = structlog.get_config()
    logs.configure(form)
    try:
        inside_a_local_variable = CANARY + "-local"
        structlog.get_logger("canary.test").warning("secret.set", value=value, nested={"value": [value]})
        logging.getLogger("canary.std").warning("set %s %r", value, {"value": value}, extra={"value": value})
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            structlog.get_logger("canary.test").exception("failed", value=value)
            logging.getLogger("canary.std").exception("failed")
        assert inside_a_local_variable
    finally:
        structlog.configure(**before)
    written = capfd.readouterr().err
    assert "ZeroDivisionError" in written
    assert CANARY not in written


def test_django_s_exception_reports_do_not_show_it(value: SecretValue) -> None:
    def view(given: SecretValue) -> None:
        held = {"wrapped": given, "listed": [given]}
        raise RuntimeError(f"could not store {given}", held)

    try:
        view(value)
    except RuntimeError:
        kind, error, trace = sys.exc_info()
        assert kind
        request = RequestFactory().get("/")
        page = technical_500_response(request, kind, error, trace).content.decode()
        mail = ExceptionReporter(request, kind, error, trace).get_traceback_text()
    assert "held" in page
    assert CANARY not in page
    assert CANARY not in mail


def test_a_failed_decoding_does_not_carry_the_bytes() -> None:
    with pytest.raises(ValueError, match="not UTF-8") as refused:
        SecretValue(CANARY.encode() + b"\xff").reveal_text()
    frames = [
        frame.f_locals
        for frame, _ in traceback.walk_tb(refused.value.__traceback__)
        if frame.f_code.co_name == "reveal_text"
    ]
    assert frames
    assert CANARY not in repr(frames)
    assert refused.value.__suppress_context__


def test_only_text_and_bytes_are_values() -> None:
    with pytest.raises(TypeError, match="text or bytes"):
        SecretValue(7)  # type: ignore[arg-type]
