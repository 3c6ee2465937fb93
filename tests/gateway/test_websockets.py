"""Open WebSockets: raw bytes both ways, and frames counted by their headers."""

import asyncio
from collections.abc import Callable

import pytest

from envforge_gateway.frames import Frames, accept
from tests.gateway.client import frame
from tests.gateway.conftest import SESSION, Place
from tests.gateway.services import Seen, accept_websocket, answer, echo
from tests.gateway.test_activity import total

Play = Callable[..., None]
# What `Client.upgrade` sends.
KEY = b"MDEyMzQ1Njc4OWFiY2RlZg=="


def test_a_websocket_passes_both_ways(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()

        async def both(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            assert seen.get("sec-websocket-extensions") == "permessage-deflate"
            assert seen.get("connection") == "Upgrade"
            accept_websocket(
                seen, writer, "Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Protocol: x"
            )
            writer.write(b"\x82\x05first")
            while data := await reader.read(65536):
                writer.write(data)
            return False

        place.app.behave = both
        client = await place.client()
        got = await client.upgrade(session=SESSION, fields=("Sec-WebSocket-Extensions: permessage-deflate",))
        assert (got.status, got.get("sec-websocket-protocol")) == (101, "x")
        assert got.get("sec-websocket-extensions") == "permessage-deflate"
        assert await client.reader.readexactly(7) == b"\x82\x05first"
        sent = b"".join(frame(bytes((number % 251,)) * number) for number in range(0, 3000, 37))
        client.send(sent)
        async with asyncio.timeout(5):
            assert await client.reader.readexactly(len(sent)) == sent

    play(scene)


def test_an_upgrade_may_be_answered_otherwise(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()

        async def no(seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            answer(writer, b"sign in first", status="401 Unauthorized")
            return True

        place.app.behave = no
        client = await place.client()
        got = await client.upgrade(session=SESSION)
        assert (got.status, got.body) == (401, b"sign in first")
        assert (await client.get(session=SESSION)).status == 401

    play(scene)


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
)
@pytest.mark.parametrize("asked", [True, False])
def test_an_app_cannot_switch_to_what_nobody_asked_for(play: Play, said: bytes, asked: bool) -> None:
    async def scene(place: Place) -> None:
        place.awake()

        async def switches(_seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            writer.write(said)
            await asyncio.sleep(0.05)
            return False

        place.app.behave = switches
        client = await place.client()
        got = await (client.upgrade(session=SESSION) if asked else client.get(session=SESSION))
        assert got.status == 502

    play(scene)


@pytest.mark.parametrize(
    "proof", [b"", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", accept(b"0" * 22 + b"=="), accept(KEY).lower()]
)
def test_an_app_that_did_not_read_the_upgrade_is_not_believed(play: Play, proof: bytes) -> None:
    """RFC 6455, 4.2.2: a service that answers 101 by rote would take the client's bytes for something else."""

    async def scene(place: Place) -> None:
        place.awake()
        ended = asyncio.Event()

        async def switches(_seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Accept: " + proof + b"\r\n\r\n"
            )
            await reader.read()
            ended.set()
            return False

        place.app.behave = switches
        client = await place.client()
        assert (await client.upgrade(session=SESSION)).status == 502
        async with asyncio.timeout(2):
            await ended.wait()
        assert not place.gateway.tunnels

    play(scene)


def test_w7_data_frames_are_activity_and_pings_are_not(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        place.app.behave = echo
        client = await place.client()
        assert (await client.upgrade(session=SESSION)).status == 101
        await place.until(lambda: place.control.batches)
        place.control.batches.clear()
        for _ in range(3):
            client.send(frame(b"beat", opcode=9) + frame(b"", opcode=10))
        await place.until(lambda: total(place, "pings") == 6)
        assert total(place, "frames") == 0
        assert not [one for batch in place.control.batches for one in batch.sessions if one.active_at]
        client.send(frame(b"typed", opcode=1) + frame(b"more", opcode=0) + frame(b"x" * 70_000))
        await place.until(lambda: total(place, "frames") == 3)
        assert [one for batch in place.control.batches for one in batch.sessions if one.active_at]

    play(scene)


def test_a_slow_reader_holds_a_socket_back(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        sent = 0

        async def flood(seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            nonlocal sent
            accept_websocket(seen, writer)
            while sent < 64 << 20:
                writer.write(b"\x82\x7f" + (1 << 18).to_bytes(8, "big") + b"x" * (1 << 18))
                sent += 1 << 18
                await writer.drain()
            return False

        place.app.behave = flood
        client = await place.client()
        assert (await client.upgrade(session=SESSION)).status == 101
        await asyncio.sleep(0.4)
        assert sent < 24 << 20

    play(scene)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64, 1000, 100_000])
def test_frames_are_counted_however_they_are_cut(step: int) -> None:
    data = b"".join(
        (
            frame(b"a"),
            frame(b"b" * 126, opcode=1),
            frame(b"", opcode=9),
            frame(b"c" * 70_000),
            frame(b"", opcode=8),
        )
    )
    frames = Frames()
    for at in range(0, len(data), step):
        frames.feed(data[at : at + step])
    assert (frames.data, frames.control, frames.between) == (3, 2, True)
    frames.feed(frame(b"abc")[:-1])
    assert not frames.between
    assert frames.left == 1
