"""A value goes through everything that can happen to it, and is nowhere afterwards but in the store (S1, K3)."""

import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import redis
from django.conf import settings
from django.core.signals import got_request_exception
from django.http import HttpRequest
from django.test import override_settings
from rest_framework.request import Request

from envforge.errors import EnvForgeError
from envforge.secret_value import SecretValue
from secrets_ref import operations, reconcile
from tests.product.canaries import Watch, database, files, found_in, valkey
from tests.product.chains import export_lines, seal
from tests.product.store import crooked_aws, make_due, rotate, set_secret, stored
from tests.product.visitors import signed_in
from tests.product.world import World


def locals_of(trace: TracebackType | None) -> Iterator[str]:
    """What a report of an error could show: the variables of every frame, and what requests in them hold."""
    while trace is not None:
        for name, held in trace.tb_frame.f_locals.items():
            yield f"{trace.tb_frame.f_code.co_qualname}.{name}={held!r}"
            if isinstance(held, Request):
                yield repr(held.__dict__)
                held = held._request  # noqa: PLW2901
            if isinstance(held, HttpRequest):
                yield repr([held.POST, held.GET, held.META, held.__dict__.get("_body", b"")])
            elif hasattr(held, "__dict__"):
                yield repr(vars(held))
        trace = trace.tb_next


def chain(error: BaseException | None) -> Iterator[str]:
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield repr(error)
        yield from locals_of(error.__traceback__)
        error = error.__cause__ or error.__context__


@contextmanager
def reports() -> Iterator[list[str]]:
    """What a reporter that hears of failed requests would see of each."""
    heard: list[str] = []

    def hear(**_: Any) -> None:
        heard.extend(chain(sys.exc_info()[1]))

    got_request_exception.connect(hear)
    try:
        yield heard
    finally:
        got_request_exception.disconnect(hear)


def test_s1_k3_a_value_is_nowhere_but_in_the_store(
    world: World,
    admin: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    canaries: set[str] = set()

    def canary() -> str:
        made = f'canary+{uuid4()}/ "q" é'
        canaries.add(made)
        return made

    answers: list[str] = []
    browser = signed_in(world.alice)
    browser.raise_request_exception = False
    slug, page, api = (
        world.acme.slug,
        f"/o/{world.acme.slug}/secrets",
        f"/api/v1/orgs/{world.acme.slug}/secrets",
    )

    def post(address: str, as_json: bool = False, by: Any = browser, **body: Any) -> Any:
        kind = {"content_type": "application/json"} if as_json else {}
        answer = by.post(address, body, headers={"idempotency-key": str(uuid4())}, **kind)
        answers.append(f"{answer.headers} {answer.text}")
        return answer

    # Set and rotated, in the console and over the API; the last value is what the store has.
    place = post(page, name="CANARY", value=canary())["location"]
    secret_id = place.rpartition("/")[2]
    assert post(place, value=canary()).status_code == 303
    assert post(f"{api}/{secret_id}/rotate", as_json=True, value=canary()).status_code == 200
    last = canary()
    assert post(f"{api}/{secret_id}/rotate", as_json=True, value=last).status_code == 200
    # Refused, and wrong in every way.
    bob = signed_in(world.bob)
    for by, status in ((bob, 403), (signed_in(world.mallory), 404)):
        assert post(page, by=by, name="X", value=canary()).status_code == status
        assert post(place, by=by, value=canary()).status_code == status
        assert post(api, as_json=True, by=by, name="X", value=canary()).status_code == status
    assert post(page, name="CANARY", value=canary()).status_code == 409
    assert post(page, name="no name", value=canary(), place="nowhere").status_code == 422
    assert post(page, name="LARGE", value=canary() * 500).status_code == 422
    assert post(page, name=canary(), value="x").status_code == 422
    assert post(api, as_json=True, name="X", value={"in": canary()}).status_code == 422
    assert post(api, as_json=True, name="X", value=canary(), other="y").status_code == 422
    # The store in trouble: it repeats what it was sent, does not answer, is away.
    with crooked_aws() as crooked:
        for code in (
            "ThrottlingException",
            "AccessDeniedException",
            "ValidationException",
            "InternalServerError",
        ):
            crooked.refuse("PutParameter", code)
            assert post(page, name=f"X_{code}", value=canary()).status_code in {422, 503}
            assert post(f"{api}/{secret_id}/rotate", as_json=True, value=canary()).status_code in {422, 503}
        crooked.heal()
        crooked.swallow("PutParameter")
        assert post(page, name="SWALLOWED", value=canary()).status_code == 503
    from tests.product.store import forget_clients

    with monkeypatch.context() as away:
        away.setattr(settings, "AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        forget_clients()
        assert post(place, value=canary()).status_code == 503
        assert post(page, name="AWAY", value=canary()).status_code == 503
    forget_clients()
    # Something breaks that nobody foresaw, with Django's debug page and without.
    for broken in ("ensure_key", "_recorded"):
        for debug in (True, False):
            with monkeypatch.context() as here, override_settings(DEBUG=debug), reports() as heard:
                here.setattr(operations, broken, _break)
                assert post(place, value=canary()).status_code == 500
                assert post(page, name=f"B{debug}{broken}".upper(), value=canary()).status_code == 500
                assert post(f"{api}/{secret_id}/rotate", as_json=True, value=canary()).status_code == 500
            assert len(heard) > 100
            answers.extend(heard)
    make_due(world.acme.id)
    reconcile.compare(world.acme.id)
    seal()
    shown = (page, place, f"{place}/delete", api, f"{api}/{secret_id}", f"/o/{slug}/timeline")
    answers.extend(browser.get(address).text for address in shown)

    assert len(canaries) > 35
    assert [one[:300] for one in answers if found_in(one, canaries)] == []
    assert [table for table, row in database(admin) if found_in(row, canaries)] == []
    assert [key for key, held in valkey() if found_in(key + held, canaries)] == []
    exported = b"".join(export_lines(world.acme.id)).decode()
    assert not found_in(exported, canaries)
    said = "".join(capfd.readouterr()) + caplog.text
    assert "Traceback" in said
    assert not found_in(said, canaries)
    logs = sorted(Path(os.environ["ENVFORGE_TEST_LOGS"]).rglob("*"))
    assert any("aws" in one.name for one in logs)
    assert [
        one.name for one in logs if one.is_file() and found_in(one.read_text(errors="replace"), canaries)
    ] == []


def _break(*_: Any) -> None:
    raise RuntimeError("unforeseen")


def test_k3_the_looking_glass_sees(world: World, admin: psycopg.Connection, tmp_path: Path) -> None:
    """What the canary test looks with does find a value where there is one."""
    value = f"canary-{uuid4()}"
    secret = set_secret(world, value=value)
    assert stored(secret.path) == value
    admin.execute("UPDATE secrets_ref_secret SET changed_by = %s WHERE id = %s", [value, secret.id])
    assert {"secrets_ref_secret"} == {table for table, row in database(admin) if found_in(row, {value})}
    redis.Redis.from_url(settings.CACHES["default"]["LOCATION"]).set(
        "k", hashlib.sha256(value.encode()).hexdigest(), ex=1
    )
    assert [key for key, held in valkey() if found_in(held, {value})]
    broker, body = redis.Redis.from_url(settings.CELERY_BROKER_URL), base64.b64encode(b"-" + value.encode())
    broker.rpush(f"looked-at-{value[-8:]}", json.dumps({"body": body.decode()}))
    assert [key for key, held in valkey() if "looked-at" in key and found_in(held, {value})]
    broker.delete(f"looked-at-{value[-8:]}")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(b"\0" + value.encode().hex().encode())
    assert [path.name for path, held in files(tmp_path) if found_in(held, {value})] == ["file"]
    with Watch() as watch:
        subprocess.run([sys.executable, "-c", "import time; time.sleep(0.5)", value], check=True)
        subprocess.run([sys.executable, "-c", "import time; time.sleep(0.5)"], env={"V": value}, check=True)
    assert any(found_in(one.arguments, {value}) for one in watch.seen)
    assert any(found_in(one.environment, {value}) for one in watch.seen)
    try:
        kept = value
        raise ZeroDivisionError
    except ZeroDivisionError as error:
        assert any(kept in one for one in chain(error))


@pytest.mark.parametrize("code", ["ThrottlingException", "AccessDeniedException", "ValidationException"])
def test_k3_no_error_of_an_operation_keeps_a_frame_with_the_value(code: str, world: World) -> None:
    secret, value = set_secret(world), f"canary-{uuid4()}"
    held = SecretValue(value)
    del value
    with crooked_aws() as crooked:
        crooked.refuse("PutParameter", code)
        with pytest.raises(EnvForgeError) as refused:
            operations.rotate_secret(
                actor=world.alice.as_actor(), org_id=world.acme.id, secret_id=secret.id, value=held
            )
    text = "".join(chain(refused.value))
    assert held.reveal_text() not in text
    assert rotate(world, secret).version == 2
