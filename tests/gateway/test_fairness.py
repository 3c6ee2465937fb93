"""One client takes no more than its turn, whatever it sends and whatever it leaves unread."""

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import cast

import pytest

from envforge_gateway import gateway
from envforge_gateway.front import MOST_WAITING, REQUESTS_A_TURN, Front
from tests.gateway.client import Client
from tests.gateway.conftest import SESSION, Place
from tests.gateway.double import HOST
from tests.gateway.services import Seen, echo

Play = Callable[..., None]
# Answered by the gateway itself, and so at once.
PAGE = f"GET / HTTP/1.1\r\nHost: {HOST}\r\nAccept: text/html\r\n\r\n".encode()
CHEAPER = b"GET / HTTP/1.1\r\nHost: elsewhere.test\r\n\r\n"


def test_a_burst_of_pipelined_requests_leaves_others_their_turn(play: Play) -> None:
    """Thousands of requests that came at once are answered in order, and a few in each turn of the loop."""

    async def scene(place: Place) -> None:
        metrics, most, number = place.gateway.metrics, 0, 3000

        async def count() -> None:
            nonlocal most
            while True:
                before = metrics.requests
                await asyncio.sleep(0)
                most = max(most, metrics.requests - before)

        client = await place.client()
        counting = asyncio.create_task(count())
        client.send(CHEAPER * number)
        for _ in range(number):
            assert (await client.answer()).status == 421
        counting.cancel()
        assert 0 < most <= 2 * REQUESTS_A_TURN

    play(scene)


def test_a_request_that_waits_for_its_turn_is_not_begun_once_the_process_says_goodbye(play: Play) -> None:
    """Its service would do it, and nobody would hear how it ended."""

    async def scene(place: Place) -> None:
        metrics = place.gateway.metrics
        client = await place.client()
        client.send(CHEAPER * 100)
        while not metrics.requests:
            await asyncio.sleep(0)
        begun = metrics.requests
        assert begun == REQUESTS_A_TURN
        place.gateway.say_goodbye()
        for _ in range(begun):
            assert (await client.answer()).status == 421
        assert await client.is_closed(1)
        assert metrics.requests == begun

    play(scene)


def test_answers_that_nobody_reads_are_not_piled_up(play: Play) -> None:
    """A client that asks on and on and reads nothing: reading pauses, what waits stays bounded, and in the end it is cut."""

    async def scene(place: Place) -> None:
        small = socket.socket()
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        small.setblocking(False)
        await asyncio.get_running_loop().sock_connect(small, place.program.address)
        await place.until(lambda: place.gateway.fronts)
        (front,) = place.gateway.fronts
        sent, most, still = 0, 0, time.monotonic()
        while time.monotonic() - still < 0.3:
            try:
                sent += small.send(CHEAPER * 100)
                still = time.monotonic()
            except BlockingIOError:
                pass
            most = max(most, front.transport.get_write_buffer_size() + len(front.buffer))
            await asyncio.sleep(0)
        assert front.is_full
        assert most < 4 * (MOST_WAITING + (1 << 18))
        await place.until(lambda: not place.gateway.fronts)
        small.close()

    play(scene, stall_timeout_s=0.6, head_timeout_s=0.6)


def test_a_client_that_reads_late_gets_every_answer_in_order(play: Play) -> None:
    async def scene(place: Place) -> None:
        small = socket.socket()
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        small.connect(place.program.address)
        client = Client(*await asyncio.open_connection(sock=small))
        transport = cast("asyncio.Transport", client.writer.transport)
        transport.pause_reading()
        number = 3000
        client.send(b"".join(PAGE if one % 2 else CHEAPER for one in range(number)))
        await place.until(lambda: any(front.is_full for front in place.gateway.fronts))
        transport.resume_reading()
        for one in range(number):
            assert (await client.answer()).status == (401 if one % 2 else 421), one
        client.close()

    play(scene)


def test_a_service_connection_is_read_again_after_a_client_that_did_not(play: Play) -> None:
    """The answer had come whole when its client stopped taking it; the next request over the same connection is answered."""

    async def scene(place: Place) -> None:
        place.awake()
        place.app.words = "x" * 1_500_000
        slow = await place.client()
        cast("asyncio.Transport", slow.writer.transport).pause_reading()
        for _ in range(6):
            slow.ask(session=SESSION)
        entry_open = place.gateway.cache
        await place.until(lambda: any(front.is_full for front in place.gateway.fronts))
        await asyncio.sleep(0.2)
        cast("asyncio.Transport", slow.writer.transport).resume_reading()
        for _ in range(6):
            assert len((await slow.answer()).body) == 1_500_000
        await place.until(lambda: not entry_open.open)
        place.app.words = "short"
        for _ in range(3):
            assert (await place.get()).text == "short"

    play(scene, first_byte_timeout_s=1.0)


def test_l4_many_that_are_cut_are_shut_at_once_and_closed_in_turns(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L4: every client is told before the first connection is closed, and others have their turns while the rest is."""
    turn = 0
    said: list[tuple[str, int]] = []
    for name in ("shut", "abort"):
        monkeypatch.setattr(Front, name, noted(getattr(Front, name), lambda what: said.append((what, turn))))
    monkeypatch.setattr(gateway, "CLOSED_AT_ONCE", 10)

    async def scene(place: Place) -> None:
        async def count() -> None:
            nonlocal turn
            while True:
                turn += 1
                await asyncio.sleep(0)

        made = place.awake()
        place.app.behave = echo
        clients = [await place.client() for _ in range(60)]
        for client in clients:
            assert (await client.upgrade(session=SESSION)).status == 101
        counting = asyncio.create_task(count())
        revision = place.control.purge("link", made["link_id"])
        assert all(await asyncio.gather(*(client.is_closed(2) for client in clients)))
        told = await place.control.acknowledgement_of(revision)
        counting.cancel()
        assert [one.cut for one in told.applied] == [60]
        # Once it is told, the service's side is closed as well.
        assert not place.gateway.tunnels
        await place.until(lambda: not place.app.open)
        assert [what for what, _ in said[:120]] == ["shut"] * 60 + ["abort"] * 60
        assert said[119][1] - said[60][1] >= 2

    play(scene)


def test_an_upload_goes_on_once_its_service_is_found(play: Play) -> None:
    """More of it has come than may wait while nobody knew yet where it leads."""

    async def scene(place: Place) -> None:
        place.awake()
        place.control.hold["resolve"] = asyncio.Event()
        client = await place.client()
        body = b"x" * 5_000_000
        asking = asyncio.create_task(client.get(method="POST", session=SESSION, body=body))
        await place.until(lambda: any(len(front.buffer) > MOST_WAITING for front in place.gateway.fronts))
        place.control.hold.pop("resolve").set()
        assert (await asking).status == 200
        assert len(place.app.seen[0].body) == len(body)

    play(scene, body_timeout_s=1.0, head_timeout_s=1.0)


def test_a_service_that_takes_no_more_of_an_upload_is_told_to_be_the_slow_one(play: Play) -> None:
    """Its client waits because reading from it is paused: that is no slow body (408), but an app that takes too long (504)."""

    async def scene(place: Place) -> None:
        place.awake()

        async def never(_seen: Seen, _reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> bool:
            await asyncio.sleep(10)
            return False

        place.app.behave = never
        client = await place.client()
        client.ask(method="POST", session=SESSION, fields=("Content-Length: 60000000",))
        client.send(b"x" * 60_000_000)
        metrics = place.gateway.metrics
        await place.until(lambda: metrics.answers)
        assert (metrics.answers[504], metrics.answers[408]) == (1, 0)

    play(scene, body_timeout_s=0.3, first_byte_timeout_s=1.0, head_timeout_s=0.4)


def test_l4_what_a_slow_client_has_not_taken_is_thrown_away(play: Play) -> None:
    """L4: megabytes of a download that lie in the gateway's kernel are no more given out once the link is revoked."""

    async def scene(place: Place) -> None:
        made = place.awake()
        place.app.words = "x" * 50_000_000
        small = socket.socket()
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        small.connect(place.program.address)
        client = Client(*await asyncio.open_connection(sock=small))
        cast("asyncio.Transport", client.writer.transport).pause_reading()
        client.ask(session=SESSION)
        await place.until(lambda: any(front.is_full for front in place.gateway.fronts))
        await place.control.acknowledgement_of(place.control.purge("link", made["link_id"]))
        await place.until(lambda: not place.gateway.fronts)
        cast("asyncio.Transport", client.writer.transport).resume_reading()
        got = 0
        with suppress(OSError):
            while part := await client.reader.read(65_536):
                got += len(part)
        assert got < 500_000
        client.close()

    play(scene)


def noted(method: Callable[[Front], None], note: Callable[[str], None]) -> Callable[[Front], None]:
    def wrapped(front: Front) -> None:
        note(method.__name__)
        method(front)

    return wrapped
