"""Nudges and their request ids, through a real broker and a real worker."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.core.cache import cache
from django.db import transaction

from envforge import health, request_id
from envforge.celery import app
from envforge.nudge import nudge


@pytest.fixture(autouse=True)
def _empty_queue(queue: str) -> None:
    redis.Redis.from_url(settings.CELERY_BROKER_URL).delete(queue)


def waiting() -> list[dict[str, object]]:
    broker = redis.Redis.from_url(settings.CELERY_BROKER_URL)
    return [json.loads(message)["headers"] for message in broker.lrange(app.conf.task_default_queue, 0, -1)]


def test_a_nudge_follows_the_commit() -> None:
    with transaction.atomic():
        nudge(health.heartbeat)
        assert waiting() == []
    assert [headers["task"] for headers in waiting()] == ["envforge.health.heartbeat"]


def test_a_rolled_back_write_nudges_nobody() -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        nudge(health.heartbeat)
        raise ZeroDivisionError
    assert waiting() == []


AWAY = """
import time, django
django.setup()
from django.db import transaction
from envforge import health
from envforge.nudge import nudge
began = time.monotonic()
with transaction.atomic():
    nudge(health.heartbeat)
print("committed", time.monotonic() - began < 2)
began = time.monotonic()
print("looked", health._broker() == "it does not answer" and time.monotonic() - began < 2)
"""


@pytest.mark.parametrize("silent", [False, True], ids=["refuses", "never answers"])
def test_a_broker_that_is_away_fails_no_write_and_holds_none_up(silent: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1] if silent else 1
        environment = {**os.environ, "CELERY_BROKER_URL": f"redis://127.0.0.1:{port}/0"}
        done = subprocess.run(
            [sys.executable, "-c", AWAY], env=environment, capture_output=True, text=True, check=False
        )
    assert done.stdout.split() == ["committed", "True", "looked", "True"], done.stderr
    assert "nudge.lost" in done.stderr


def test_the_request_id_travels_with_the_task() -> None:
    chosen = request_id.begin()
    with transaction.atomic():
        nudge(health.heartbeat)
    request_id.end()
    assert [headers[request_id.TASK_HEADER] for headers in waiting()] == [chosen]


def test_a_worker_runs_it_under_that_id_and_says_so_in_its_log(tmp_path: Path) -> None:
    cache.delete(health.HEARTBEAT_KEY.format(part="worker"))
    chosen = request_id.begin()
    with transaction.atomic():
        nudge(health.heartbeat)
    request_id.end()
    log = tmp_path / "worker.log"
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "envforge",
        "worker",
        "--concurrency",
        "1",
        "--queues",
        app.conf.task_default_queue,
        "--loglevel",
        "info",
    ]
    environment = {**os.environ, "C_FORCE_ROOT": "1", "ENVFORGE_LOG_FORMAT": "json"}
    with log.open("wb") as output:
        worker = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        try:
            deadline = time.monotonic() + 30
            while not _told(log, chosen) and time.monotonic() < deadline:
                time.sleep(0.1)
        finally:
            worker.terminate()
            worker.wait(15)
    assert _told(log, chosen), log.read_text()
    assert cache.get(health.HEARTBEAT_KEY.format(part="worker")) is not None


def _told(log: Path, request: str) -> bool:
    """Whether a task said something about that request."""
    lines = [line for line in log.read_text().splitlines() if line.startswith("{") and line.endswith("}")]
    return any(json.loads(line).get("request_id") == request for line in lines)


def test_every_task_has_an_explicit_name_and_json_arguments() -> None:
    """Task names are wire format (STYLE)."""
    app.loader.import_default_modules()
    ours = [name for name in app.tasks if not name.startswith("celery.")]
    assert ours
    assert all(
        name.startswith(
            ("envforge.", "audit.", "orgs.", "notices.", "secrets_ref.", "hosts.", "workspaces.", "devlinks.")
        )
        for name in ours
    )
    assert app.conf.accept_content == ["json"]
    scheduled = {entry["task"] for entry in app.conf.beat_schedule.values()}
    assert scheduled <= set(ours)
