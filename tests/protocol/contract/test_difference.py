"""What a reviewer is told about a proposal: every change, in words, what widens first (W2)."""

import pytest

from envforge_protocol.contract.difference import Weight, differences, text_difference
from tests.protocol.contract.examples import FULL, MINIMAL, good

WIDENS, CHANGES, HARMLESS = Weight.WIDENS, Weight.CHANGES, Weight.HARMLESS


@pytest.mark.parametrize(
    ("old", "new", "weight", "text"),
    [
        ("  LOG_LEVEL: {kind", "  STRIPE_KEY: secret\n  LOG_LEVEL: {kind", WIDENS, "new secret input `STRIPE_KEY`"),
        ("pip install -r", "curl x | sh -s", WIDENS, "the command of the setup step `install` is `curl x | sh -s requirements.txt` instead of"),
        ("size: medium", "size: large", WIDENS, "the size of the runtime is `large` instead of `medium`"),
        ("size: medium", "size: small", HARMLESS, "the size of the runtime is `small` instead of `medium`"),
        ("idle_sleep: 45m", "idle_sleep: 2h", WIDENS, "the idle sleep of the runtime is `2h` instead of `45m`"),
        ("idle_sleep: 45m", "idle_sleep: 10m", HARMLESS, "the idle sleep of the runtime is `10m` instead of `45m`"),
        ("  admin: 3001", "  admin: 3001\n  debug: 5678", WIDENS, "new port `debug`: 5678, http"),
        ("  admin: 3001", "  # admin: 3001", HARMLESS, "no port `admin` any more"),
        ("admin: 3001", "admin: 3002", WIDENS, "the number of the port `admin` is `3002` instead of `3001`"),
        ("assets: [/static]", "assets: [/static, /files]", WIDENS, "`/files` belongs to the surface `assets`"),
        ("assets: [/static]", "assets: []", CHANGES, "`/static` no longer belongs to the surface `assets`"),
        ("    /api/jobs: BACKEND", "    /api/jobs: BACKEND\n    /more: BACKEND", WIDENS, "`/more` is answered by the input `BACKEND`"),
        ("  WORKERS: 2", "  WORKERS: 3", CHANGES, "the variable `WORKERS` is `3` instead of `2`"),
        ("  WORKERS: 2", "  WORKERS: ${inputs.SESSION_KEY}", WIDENS, "the variable `WORKERS` is `${inputs.SESSION_KEY}` instead of `2`"),
        ("kind: app ", "kind: worker ", CHANGES, "the kind of the service is `worker` instead of `app`"),
        ("  unit: pytest -q", "  unit: pytest", WIDENS, "the command of the test `unit` is `pytest` instead of `pytest -q`"),
        ("  unit: pytest -q", "  #", CHANGES, "no test `unit` any more"),
        ("Signs the", "Seals the", HARMLESS, "the description of the input `SESSION_KEY` is"),
        ("cache: redis", "cache: postgres", WIDENS, "the type of the resource `cache` is `postgres` instead of `redis`"),
        ("  http: /login\n  status: 200", "  command: ./check", WIDENS, "the command of the smoke check is `./check`"),
        ("http: /healthz", "http: /up", CHANGES, "the http of the health check is `/up` instead of `/healthz`"),
    ],
)  # fmt: skip
def test_a_change_is_weighed_and_told(old: str, new: str, weight: Weight, text: str) -> None:
    assert old in FULL
    proposal = FULL.replace(old, new)
    if "STRIPE_KEY" in new:
        proposal = proposal.replace("  WORKERS: 2", "  WORKERS: ${inputs.STRIPE_KEY}")
    found = [change for change in differences(good(FULL), good(proposal)) if change.text.startswith(text)]
    assert [change.weight for change in found] == [weight], differences(good(FULL), good(proposal))


def test_what_becomes_reachable_widens() -> None:
    console = FULL.replace("kind: app ", "kind: console ")
    for other in ("app", "worker"):
        found = differences(good(console), good(console.replace("kind: console ", f"kind: {other} ")))
        assert [(one.field, one.weight) for one in found] == [("service.kind", WIDENS)]


def test_the_weightiest_come_first() -> None:
    found = differences(good(FULL), good(MINIMAL))
    assert [one.weight for one in found] == sorted((one.weight for one in found), key=[*Weight].index)


def test_without_an_approved_one_everything_is_new() -> None:
    found = differences(None, good(FULL))
    assert {one.kind for one in found} == {"added"}
    assert {one.field.split(".")[0] for one in found} == {*type(good(FULL)).model_fields}


def test_the_same_has_no_difference() -> None:
    assert differences(good(FULL), good(FULL)) == ()


def test_texts_are_compared_by_line() -> None:
    found = text_difference(MINIMAL, MINIMAL.replace("8000", "9000"))
    assert found.startswith("--- approved\n+++ proposed\n")
    assert "-command: python -m http.server 8000\n+command: python -m http.server 9000\n" in found
    assert text_difference(MINIMAL, MINIMAL) == ""
