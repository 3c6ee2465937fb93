"""The example repositories: their own tests by a bare Python, and the two together before real clients."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import httpx2
import pytest

from envforge_protocol.contract import parse
from local_cloud.home import REPOSITORY
from tests.issuer.conftest import free_port

EXAMPLES = REPOSITORY / "examples"
KEY = "canary-of-the-examples-tests"


@pytest.mark.parametrize("name", ["scheduler-web", "scheduler-backend"])
def test_its_own_tests_pass_with_the_standard_library_alone(name: str) -> None:
    done = subprocess.run(
        # Without site-packages: what is not in the standard library is not there.
        [sys.executable, "-S", "-W", "error", "-m", "unittest", "discover", "-s", "tests"],
        cwd=EXAMPLES / name,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "OK" in done.stderr


def test_their_contracts_are_good_and_fit_each_other() -> None:
    web, backend = (
        parse((EXAMPLES / f"scheduler-{name}" / "envforge.yml").read_bytes()) for name in ("web", "backend")
    )
    assert web.is_linkable
    assert backend.is_linkable
    assert web.routes.forward == {"/api": "BACKEND_URL"}
    assert web.inputs["BACKEND_URL"].kind == "route"
    assert backend.inputs["CALENDAR_SIGNING_KEY"].kind == "secret"


@dataclass
class Scheduler:
    """The two services, as a workspace would run them."""

    url: str
    logs: tuple[Path, Path]


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[Scheduler]:
    web, backend = free_port(), free_port()
    common = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    environments = {
        "backend": {"PORT": str(backend), "DATA_DIR": str(tmp_path / "data"), "CALENDAR_SIGNING_KEY": KEY},
        "web": {"PORT": str(web), "BACKEND_URL": f"http://127.0.0.1:{backend}"},
    }
    processes = []
    try:
        for name, environment in environments.items():
            with (tmp_path / f"{name}.log").open("wb") as log:
                processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", f"scheduler_{name}"],
                        cwd=EXAMPLES / f"scheduler-{name}",
                        env=common | environment,
                        stdout=log,
                        stderr=log,
                    )
                )
        deadline = time.monotonic() + 20
        for port in (web, backend):
            while True:
                try:
                    if httpx2.get(f"http://127.0.0.1:{port}/health").is_success:
                        break
                except httpx2.TransportError:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
        yield Scheduler(f"http://localhost:{web}", (tmp_path / "web.log", tmp_path / "backend.log"))
    finally:
        for process in processes:
            process.terminate()
        assert [process.wait(10) for process in processes] == [0, 0]


def test_a_real_client_hears_presence_intentions_and_changes(scheduler: Scheduler) -> None:
    asyncio.run(_listen(scheduler.url))
    for log in scheduler.logs:
        assert KEY not in log.read_text()
        assert "Traceback" not in log.read_text()


async def _listen(url: str) -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/live", origin=url) as one:
        assert json.loads(await one.receive_str(timeout=10)) == {"type": "presence", "looking": 1}
        async with session.ws_connect(f"{url}/live") as two:
            await _until(one, {"type": "presence", "looking": 2})
            slot = {"day": "2026-05-04", "room": "oak", "start": "09:00"}
            await two.send_json({"type": "about_to_book", "slot": slot})
            heard = await _until(one, {"type": "about_to_book", "slot": slot})
            assert heard["by"] == 2
            await two.ping()
            for odd in ("[]", "{", "[" * 5000, '{"type": "about_to_book", "slot": {"day": 1}}'):
                await two.send_str(odd)
            booking = {**slot, "end": "10:00", "title": "Planning", "who": "Bob"}
            async with session.post(f"{url}/api/bookings", json=booking) as answer:
                assert answer.status == 201
            await _until(two, {"type": "changed"})
        await _until(one, {"type": "presence", "looking": 1})
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"{url}/live", origin="http://evil.test")
        assert refused.value.status == 403


async def _until(socket: aiohttp.ClientWebSocketResponse, wanted: dict[str, object]) -> dict[str, object]:
    while True:
        heard: dict[str, object] = json.loads(await socket.receive_str(timeout=10))
        if wanted.items() <= heard.items():
            return heard
