"""The relay of SSH's bytes (H7): a ticket opens one connection, and a purge ends it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from envforge_gateway.messages import BadFrame, Messages
from envforge_gateway.messages import frame as server_frame
from envforge_protocol.gateway.shells import SHELL_PATH, SUBPROTOCOL, Shell
from tests.gateway.client import Client, frame
from tests.gateway.conftest import Place
from tests.gateway.double import DOMAIN

Play = Callable[..., None]
FIELDS = (f"Sec-WebSocket-Protocol: {SUBPROTOCOL}", "Authorization: Bearer envf_shell_one")


@asynccontextmanager
async def ssh() -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-test\r\n")
        while data := await reader.read(65536):
            writer.write(data.upper())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


def shell(port: int, **given: Any) -> Shell:
    return Shell.model_validate(
        {
            "session_id": uuid4(),
            "person_id": uuid4(),
            "workspace_id": uuid4(),
            "organization_id": uuid4(),
            "address": "127.0.0.1",
            "port": port,
            "expires_at": datetime.now(UTC) + timedelta(hours=1),
            **given,
        }
    )


async def opened(place: Place, port: int, **given: Any) -> tuple[Client, Shell]:
    made = place.control.shells["envf_shell_one"] = shell(port, **given)
    client = await place.client()
    got = await client.upgrade(SHELL_PATH, host=DOMAIN, fields=FIELDS)
    assert (got.status, got.get("sec-websocket-protocol")) == (101, SUBPROTOCOL)
    assert await client.reader.readexactly(16) == server_frame(b"SSH-2.0-test\r\n")
    return client, made


def test_bytes_pass_both_ways(play: Play) -> None:
    async def scene(place: Place) -> None:
        async with ssh() as port:
            client, _ = await opened(place, port)
            client.send(frame(b"hello", final=False) + frame(b" there", opcode=0))
            async with asyncio.timeout(5):
                assert await client.reader.readexactly(13) == server_frame(b"HELLO THERE")
            client.send(frame(b"you there?", opcode=9))
            assert await client.reader.readexactly(12) == b"\x8a\x0ayou there?"
            client.send(frame(b"\x03\xe8", opcode=8))
            assert await client.reader.readexactly(4) == b"\x88\x02\x03\xe8"
            assert await client.is_closed()
            assert place.gateway.cache.open == 0

    play(scene)


@pytest.mark.parametrize("kind", ["session", "person", "workspace", "organization"])
def test_g1_a_purge_cuts_a_shell(play: Play, kind: str) -> None:
    async def scene(place: Place) -> None:
        async with ssh() as port:
            client, made = await opened(place, port)
            # A runtime that falls asleep leaves its workspace's shell alone.
            revision = place.control.purge("route", made.workspace_id, epoch=99)
            assert (await place.control.acknowledgement_of(revision)).applied[-1].cut == 0
            revision = place.control.purge(kind, getattr(made, f"{kind}_id"))
            assert (await place.control.acknowledgement_of(revision)).applied[-1].cut == 1
            assert await client.is_closed(0.5)

    play(scene)


def test_a_shell_ends_with_its_time(play: Play) -> None:
    async def scene(place: Place) -> None:
        async with ssh() as port:
            client, _ = await opened(place, port, expires_at=datetime.now(UTC) + timedelta(seconds=0.5))
            assert await client.is_closed(1.5)

    play(scene)


def test_a_ticket_opens_one_shell_and_no_page_opens_any(play: Play) -> None:
    async def scene(place: Place) -> None:
        async with ssh() as port:
            await opened(place, port)
            client = await place.client()
            assert (await client.upgrade(SHELL_PATH, host=DOMAIN, fields=FIELDS)).status == 403
            assert (await client.upgrade(SHELL_PATH, host=DOMAIN, fields=FIELDS[:1])).status == 401
            assert (await client.upgrade(SHELL_PATH, host=DOMAIN, fields=FIELDS[1:])).status == 426
            assert (await client.get(SHELL_PATH, host=DOMAIN, fields=FIELDS)).status == 426
            place.control.shells["envf_shell_one"] = shell(port)
            got = await client.upgrade(SHELL_PATH, host=DOMAIN, fields=(*FIELDS, f"Origin: https://{DOMAIN}"))
            assert got.status == 403
            # At a workspace's host it is one more path that no app sees.
            place.awake()
            assert (await client.upgrade(SHELL_PATH, session="s" * 43, fields=FIELDS)).status == 403
            place.control.down.add("shells")
            assert (await client.upgrade(SHELL_PATH, host=DOMAIN, fields=FIELDS)).status == 503

    play(scene)


@pytest.mark.parametrize("address", ["169.254.169.254", "10.1.2.3", "127.9.9.9", "::1"])
def test_g2_shells_lead_to_configured_networks_alone(play: Play, address: str) -> None:
    async def scene(place: Place) -> None:
        place.control.shells["envf_shell_one"] = shell(22, address=address)
        client = await place.client()
        assert (await client.upgrade(SHELL_PATH, host=DOMAIN, fields=FIELDS)).status == 502

    play(scene, upstream_networks="127.0.0.0/24")


@pytest.mark.parametrize(
    "data",
    [
        b"\x82\x01a",
        frame(b"text", opcode=1),
        frame(b"x", opcode=0),
        frame(b"x", opcode=3),
        frame(b"x" * 126, opcode=9),
        frame(b"x", opcode=9, final=False),
        b"\xc2\x81\x01\x02\x03\x04a",
        b"\x82\xff\x00\x00\x00\x00\xff\xff\xff\xff",
    ],
)
def test_what_is_no_frame_of_a_client_ends_the_relay(data: bytes) -> None:
    with pytest.raises(BadFrame):
        Messages().feed(data + b"\0" * 16)


@pytest.mark.parametrize("step", [1, 2, 5, 1000])
def test_messages_are_read_however_they_are_cut(step: int) -> None:
    messages = Messages()
    data = (
        frame(b"one") + frame(b"", opcode=9) + frame(b"t" * 300) + frame(b"u" * 70_000) + frame(b"", opcode=8)
    )
    found, pongs, ended = b"", 0, False
    for at in range(0, len(data), step):
        content, controls, over = messages.feed(data[at : at + step])
        found += content
        pongs += len(controls)
        ended |= over
    assert (found, pongs, ended) == (b"one" + b"t" * 300 + b"u" * 70_000, 1, True)
