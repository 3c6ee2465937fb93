"""The door itself: versions, sizes, forms, limits, and what it never says."""

import logging
import time
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from django.conf import settings
from django.test import Client, override_settings

from envforge_protocol.host.base import Problem
from hosts import versions
from hosts.rates import Buckets
from tests.product.host_api.machines import Daemon, run, stop, want, workspace


def problem(answer: httpx2.Response, status: int, word: str) -> Problem:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = Problem.model_validate_json(answer.content)
    assert (told.word, told.status, told.request_id) == (word, status, answer.headers["x-request-id"])
    return told


@pytest.mark.parametrize("held", ["none", "envf_host_nobody", "envf_sa_" + "a" * 43, "x" * 5000])
def test_without_a_token_nothing_is_answered(daemon: Daemon, held: str) -> None:
    daemon.token = held
    for answer in (
        daemon.get("commands?wait_s=0"),
        daemon.beat(1),
        daemon.post("reports", {"reports": []}),
        daemon.post(f"commands/{daemon.host.id}/result", {}),
        daemon.post(f"runs/{daemon.host.id}/output?offset=0", b""),
    ):
        problem(answer, 401, "token")


def test_versions_are_negotiated_and_strict_in_themselves(daemon: Daemon) -> None:
    for header, instruction in (("", "upgrade"), ("0", "upgrade"), ("2", "speak"), ("1.5", "upgrade")):
        answer = daemon.get("commands?wait_s=0", **{"EnvForge-Protocol": header})
        told = problem(answer, 426, "protocol")
        assert (told.instruction, told.oldest, told.newest) == (instruction, 1, 1)
        assert answer.headers["envforge-protocol"] == "1"
    told = problem(daemon.beat(1, mood="good"), 422, "message")
    assert "mood" in told.detail
    assert "good" not in told.detail


def test_an_old_version_is_answered_for_as_long_as_it_is_understood() -> None:
    assert versions.spoken("2", oldest=2, newest=3) == 2
    for header, instruction in (("1", "upgrade"), ("4", "speak")):
        with pytest.raises(versions.VersionNotSpoken) as refused:
            versions.spoken(header, oldest=2, newest=3)
        assert refused.value.instruction == instruction


def test_bodies_are_json_in_which_each_name_stands_once(daemon: Daemon) -> None:
    with daemon.client() as client:

        def send(body: bytes, kind: str = "application/json") -> httpx2.Response:
            return client.post("/host/v1/heartbeat", content=body, headers={"Content-Type": kind})

        problem(send(b'{"sequence": 1, "sequence": 2}'), 422, "message")
        problem(send(b"[" * 100_000), 422, "message")
        problem(send(b"\xff\xfe"), 422, "message")
        problem(send(b"{}", "text/plain"), 415, "request")
        problem(send(b" " * (1024 * 1024 + 1)), 413, "too_long")


def test_a_header_that_stands_twice_is_refused(daemon: Daemon) -> None:
    with httpx2.Client(base_url=daemon.address) as client:
        headers = [
            ("Host", settings.HOST_API_HOST),
            ("EnvForge-Protocol", "1"),
            ("Authorization", f"Bearer {daemon.token}"),
            ("Authorization", "Bearer other"),
        ]
        problem(client.get("/host/v1/commands?wait_s=0", headers=headers), 400, "request")


@pytest.mark.parametrize(
    "query", ["", "?wait_s=-1", "?wait_s=26", "?wait_s=1&wait_s=2", "?wait_s=1&more=2", "?wait_s=%D9%A1"]
)
def test_a_poll_says_how_long_it_waits(daemon: Daemon, query: str) -> None:
    problem(daemon.get(f"commands{query}"), 400, "request")


def test_other_addresses_and_methods(daemon: Daemon) -> None:
    problem(daemon.get("nothing"), 404, "not_found")
    problem(daemon.get("heartbeat"), 405, "method")
    problem(daemon.post("commands/not-an-id/result", {}), 404, "not_found")


def test_it_is_there_at_its_host_alone_and_sets_no_cookie(daemon: Daemon) -> None:
    assert daemon.get("commands?wait_s=0", Host="elsewhere.example").status_code == 400
    answer = daemon.get("commands?wait_s=0")
    assert answer.status_code == 204
    assert "set-cookie" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"
    page = Client(headers={"host": settings.CONSOLE_HOST}).get("/host/v1/commands?wait_s=0")
    assert page.status_code == 404, "Django's own stack knows no such address"


def test_plain_http_is_refused_in_production(daemon: Daemon) -> None:
    with override_settings(PRODUCTION=True):
        problem(daemon.get("commands?wait_s=0"), 403, "request")
        assert daemon.get("commands?wait_s=0", **{"X-Forwarded-Proto": "https"}).status_code == 204


def test_who_asks_too_often_is_told_when_to_come_again(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    monkeypatch.setattr("hosts.rates.time", SimpleNamespace(monotonic=lambda: now))
    _, at_once = settings.HOST_RATES["host"]
    with daemon.client() as client:
        answers = [client.post("/host/v1/heartbeat", json={}) for _ in range(at_once + 1)]
    assert {answer.status_code for answer in answers[:-1]} == {422}
    problem(answers[-1], 429, "rate")
    assert int(answers[-1].headers["retry-after"]) >= 1


def test_a_bucket_fills_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("hosts.rates.time", SimpleNamespace(monotonic=lambda: now))
    buckets = Buckets(2.0, 3)
    assert [buckets.take("one") for _ in range(4)] == [0, 0, 0, 0.5]
    assert (buckets.take("other"), buckets.wait("one")) == (0, 0.5)
    now += 0.5
    assert [buckets.take("one"), buckets.take("one")] == [0, 0.5]


def test_what_breaks_inside_says_nothing_of_the_inside(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("canary-inside")

    monkeypatch.setattr("hosts.heartbeats.beat", broken)
    told = daemon.beat(1)
    problem(told, 500, "internal")
    assert "canary" not in told.text


def test_k3_no_token_and_no_message_reaches_the_log(daemon: Daemon, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    want(daemon.host, run(workspace(), environment={"MOOD": "canary-literal"}))
    want(daemon.host, stop(workspace()))
    daemon.poll()
    daemon.beat(1, mood="canary-field")
    daemon.post("reports", {"reports": [{"id": "canary-id"}]})
    daemon.post("join", {"instance_id": "canary-instance", "nonce": "canary-nonce"})
    # What the test's own client says of its requests is not the product's.
    logged = [str(record.__dict__) for record in caplog.records if not record.name.startswith("http")]
    assert logged
    assert not [line for line in logged if daemon.token in line or "canary" in line]
