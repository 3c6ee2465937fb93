"""Slow, greedy and broken clients and apps; and how a process ends."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from envforge_gateway.config import load
from envforge_gateway.errors import ConfigError
from tests.gateway.client import Client, frame
from tests.gateway.conftest import SESSION, Place
from tests.gateway.double import CREDENTIAL, DOMAIN, HOST, ControlPlane
from tests.gateway.services import Seen, answer, echo, read_body

Play = Callable[..., None]
PAGE = ("Accept: text/html",)


def test_slow_heads_are_given_up(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        client = await place.client()
        for byte in b"GET / HTTP/1.1\r\nHost: x":
            client.send(bytes((byte,)))
            await asyncio.sleep(0.03)
        assert (await client.answer()).status == 408
        assert await client.is_closed()
        idle = await place.client()
        assert (await idle.get(session=SESSION)).status == 200
        assert await idle.is_closed(2)

    play(scene, head_timeout_s=0.4, idle_timeout_s=0.5)


def test_slow_bodies_are_given_up(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        client = await place.client()
        client.ask(method="POST", session=SESSION, fields=("Content-Length: 100",))
        client.send(b"x")
        assert (await client.answer()).status == 408
        form = await place.client()
        form.ask(
            "/.envforge/redeem",
            method="POST",
            fields=("Content-Length: 50", "Content-Type: application/x-www-form-urlencoded"),
        )
        assert (await form.answer()).status == 408

    play(scene, body_timeout_s=0.2, head_timeout_s=0.2)


def test_a_client_that_reads_nothing_is_cut(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()

        async def big(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            await read_body(seen, reader)
            answer(writer, b"x" * (64 << 20))
            return True

        place.app.behave = big
        client = await place.client()
        client.ask(session=SESSION)
        await place.until(lambda: place.gateway.cache.open)
        await place.until(lambda: not place.gateway.cache.open)
        assert place.gateway.metrics.refused["slow"] == 1

    play(scene, stall_timeout_s=0.3, head_timeout_s=0.2)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (tuple(f"X-{number}: 1" for number in range(40)), 431),
        (("X-Long: " + "x" * 5000,), 431),
        (("Content-Length: 5000",), 413),
    ],
)
def test_more_than_a_request_may_be(play: Play, fields: tuple[str, ...], status: int) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        client = await place.client()
        client.ask(method="POST", session=SESSION, fields=fields)
        assert (await client.answer()).status == status
        assert place.app.seen == []

    play(scene, head_fields=20, head_bytes=4096, body_bytes=4000)


def test_a_chunked_body_has_the_same_limit(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        client = await place.client()
        client.ask(method="POST", session=SESSION, fields=("Transfer-Encoding: chunked",))
        for _ in range(3):
            client.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
        assert (await client.answer()).status == 413
        assert await client.is_closed()

    play(scene, body_bytes=2048)


@pytest.mark.parametrize("limit", ["connections_per_session", "connections_per_link"])
def test_connections_of_a_session_and_of_a_link_are_counted(play: Play, limit: str) -> None:
    async def scene(place: Place) -> None:
        place.app.behave = echo
        said = place.awake()
        place.awake("o" * 43, link_id=said["link_id"])
        clients = []
        for _ in range(2):
            clients.append(await place.client())
            assert (await clients[-1].upgrade(session=SESSION)).status == 101
        other = await place.client()
        expected = 429 if limit == "connections_per_link" else 101
        assert (await place.get()).status == 429
        assert (await other.upgrade(session="o" * 43)).status == expected
        clients[0].close()
        await place.until(lambda: place.gateway.metrics.gaps == 0 and place.gateway.cache.open < 3)
        clients[1].close()
        await asyncio.sleep(0.05)
        assert (await place.get()).status == 200

    play(scene, **{limit: 2})


def test_connections_of_a_process_are_counted(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        held = [await place.client() for _ in range(3)]
        await place.until(lambda: len(place.gateway.fronts) == 3)
        one_more = await place.client()
        assert (await one_more.answer()).status == 503
        held[0].close()
        await place.until(lambda: len(place.gateway.fronts) == 2)
        assert (await place.get()).status == 200

    play(scene, max_connections=3)


def test_apps_that_do_not_answer_are_told_apart(play: Play) -> None:
    async def scene(place: Place) -> None:
        gone = place.app.port
        said = place.awake()

        async def never(_seen: Seen, _reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> bool:
            await asyncio.sleep(30)
            return False

        place.app.behave = never
        got = await place.get(fields=PAGE)
        assert (got.status, "takes too long" in got.text) == (504, True)
        got = await place.get(fields=("Accept: application/json",))
        assert (got.status, got.get("content-type")) == (504, "application/problem+json")

        async def hangs_up(_seen: Seen, _reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> bool:
            return False

        place.app.behave = hangs_up
        got = await place.get(fields=PAGE)
        assert (got.status, "hung up" in got.text) == (502, True)
        await place.app.stop()
        got = await place.get(fields=PAGE)
        assert (got.status, "does not answer" in got.text) == (502, True)
        said["runtime"] = {"state": "awake", "epoch": 2, "ingress": []}
        place.control.purge("workspace", said["workspace_id"], cut=False)
        await place.until(lambda: place.gateway.metrics.purges)
        got = await place.get(fields=PAGE)
        assert (got.status, "not running" in got.text) == (502, True)
        # Where it runs is nobody's business.
        assert str(gone) not in got.text
        assert "127.0.0.1" not in got.text

    play(scene, first_byte_timeout_s=0.3)


@pytest.mark.parametrize(
    "said",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\nSet-Cookie: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"\r\n",
    ],
)
def test_answers_that_are_none_are_not_passed_on(play: Play, said: bytes) -> None:
    async def scene(place: Place) -> None:
        place.awake()

        async def broken(_seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            writer.write(said)
            await asyncio.sleep(0.05)
            return False

        place.app.behave = broken
        assert (await place.get(fields=PAGE)).status == 502

    play(scene)


def test_what_an_app_says_unasked_is_nobodys_answer(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()

        async def two(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            await read_body(seen, reader)
            answer(writer, b"mine")
            answer(writer, b"poison")
            await asyncio.sleep(0.02)
            return True

        place.app.behave = two
        client = await place.client()
        for _ in range(3):
            assert (await client.get(session=SESSION)).body == b"mine"
        assert place.app.connections == 3

    play(scene)


def test_health_and_figures(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        assert await place.health() == 200
        await place.get()
        await place.get("/x", session=None)
        text = await place.metrics()
        assert 'envforge_gateway_answers_total{status="200"} 1' in text
        assert 'envforge_gateway_answers_total{status="401"} 1' in text
        assert "envforge_gateway_cached_sessions 1" in text
        # The world's listener has none of it.
        assert (await place.get("/metrics", session=None)).status == 401

    play(scene)


def test_draining_finishes_what_is_under_way_tells_sockets_and_keeps_its_stream(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        ending = asyncio.Event()

        async def slow(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            if seen.get("upgrade"):
                return await echo(seen, reader, writer)
            await ending.wait()
            answer(writer, b"done")
            return True

        place.app.behave = slow
        idle, busy, socket, other = [await place.client() for _ in range(4)]
        assert (await socket.upgrade(session=SESSION)).status == 101
        other.ask("/other", session=SESSION)
        busy.ask("/busy", session=SESSION)
        await place.until(lambda: place.gateway.cache.open == 3)
        place.control.drain(5)
        assert await idle.is_closed(1)
        async with asyncio.timeout(1):
            # 1001: going away.
            assert await socket.reader.readexactly(4) == b"\x88\x02\x03\xe9"
        assert await socket.is_closed(1)
        assert await place.health() == 503
        with pytest.raises(ConnectionRefusedError):
            await Client.to(place.program.address)
        revision = place.control.purge("everything", None, cut=False)
        await place.control.acknowledgement_of(revision)
        ending.set()
        got = await busy.answer()
        assert (got.body, got.get("connection")) == (b"done", "close")
        await place._running
        assert place.control.left == 1

    play(scene, drain_s=5.0)


def test_draining_ends_at_its_limit(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()

        async def never(_seen: Seen, _reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> bool:
            await asyncio.sleep(30)
            return False

        place.app.behave = never
        client = await place.client()
        client.ask(session=SESSION)
        await place.until(lambda: place.gateway.cache.open)
        place.program.ending.set()
        assert await client.is_closed(2)

    play(scene, drain_s=0.3)


def test_a_socket_is_told_between_two_frames(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        place.app.behave = echo
        client = await place.client()
        assert (await client.upgrade(session=SESSION)).status == 101
        whole = frame(b"0123456789")
        client.send(whole[:8])
        assert await client.reader.readexactly(8) == whole[:8]
        place.gateway.say_goodbye()
        await asyncio.sleep(0.05)
        client.send(whole[8:])
        async with asyncio.timeout(2):
            assert await client.reader.readexactly(len(whole) - 8) == whole[8:]
            assert await client.reader.readexactly(4) == b"\x88\x02\x03\xe9"
        assert await client.is_closed()

    play(scene)


def test_a_process_for_each_core_is_a_gateway_of_its_own(tmp_path: Path) -> None:
    async def scene() -> None:
        control = ControlPlane()
        await control.start()
        # The same token for whoever registers: this double has one.
        log = (tmp_path / "log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", "envforge_gateway"],
            stderr=log,
            env={
                **os.environ,
                "ENVFORGE_DEV_URL": f"https://{DOMAIN}",
                "ENVFORGE_GATEWAY_API_URL": control.url,
                "ENVFORGE_GATEWAY_CREDENTIAL": CREDENTIAL,
                "ENVFORGE_GATEWAY_LISTEN": "127.0.0.1:0",
                "ENVFORGE_GATEWAY_ADMIN_LISTEN": "127.0.0.1:0",
                "ENVFORGE_GATEWAY_PROCESSES": "2",
                "ENVFORGE_GATEWAY_DRAIN_S": "1",
            },
        )
        try:
            async with asyncio.timeout(10):
                while control.registrations < 2:
                    await asyncio.sleep(0.05)
            text = (tmp_path / "log").read_text()
            assert '"gateway.0"' in text
            assert '"gateway.1"' in text
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 15) == 0
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            log.close()
            await control.stop()

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENVFORGE_DEV_URL", "dev.test"),
        ("ENVFORGE_DEV_URL", "https://localhost"),
        ("ENVFORGE_GATEWAY_API_URL", "ftp://x"),
        ("ENVFORGE_GATEWAY_UPSTREAM_NETWORKS", "10.0.0.0/99"),
        ("ENVFORGE_GATEWAY_LISTEN", "somewhere"),
        ("ENVFORGE_GATEWAY_CREDENTIAL", ""),
        ("ENVFORGE_GATEWAY_CREDENTIAL_FILE", "/nowhere/at/all"),
        ("ENVFORGE_GATEWAY_HEAD_BYTES", "many"),
    ],
)
def test_a_wrong_setting_is_named_and_its_value_is_not(name: str, value: str) -> None:
    good = {
        "ENVFORGE_DEV_URL": "https://dev.test",
        "ENVFORGE_GATEWAY_API_URL": "https://api.test",
        "ENVFORGE_GATEWAY_CREDENTIAL": "hush-hush",
    }
    if name.endswith("_FILE"):
        del good["ENVFORGE_GATEWAY_CREDENTIAL"]
    with pytest.raises(ConfigError) as refused:
        load({**good, name: value})
    assert name in str(refused.value) or "dev_url" in str(refused.value)
    assert "hush-hush" not in str(refused.value)
    assert load(good | {"ENVFORGE_GATEWAY_CREDENTIAL": "x"}).origin(HOST) == f"https://{HOST}"
