"""A process that runs for long: it remembers no more than it may, and does not go on without its watch."""

import asyncio
import os
import socket
from typing import Any, cast
from uuid import uuid4

import pytest

from envforge_gateway import activity, stream
from envforge_gateway.activity import Activity
from envforge_gateway.errors import GatewayError
from tests.gateway.client import Client
from tests.gateway.conftest import SESSION, Place
from tests.gateway.services import echo
from tests.gateway.test_limits import Play


def test_sessions_that_only_look_are_forgotten_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program's session that only polls is never "active", and there may be any number of such sessions."""
    monkeypatch.setattr(activity, "MOST_REMEMBERED", 10)
    counted = Activity(cast("Any", None))
    for _ in range(100):
        counted.was_active_within(uuid4(), 600)
    assert len(counted._active) == 10


def test_g1_a_process_whose_watch_broke_ends(play: Play) -> None:
    """G1: without its watch nothing is cut when its time comes; whoever keeps the process starts it anew."""

    async def scene(place: Place) -> None:
        place.gateway.cache._expiries.append(cast("Any", None))
        with pytest.raises(GatewayError, match="watch: TypeError"):
            async with asyncio.timeout(3):
                await asyncio.shield(place._running)
        await place.start_gateway()

    play(scene)


def test_a_client_that_does_not_take_its_last_answer_is_given_up(play: Play) -> None:
    """The answer is written and the app is done; what is left lies in the gateway for a client that reads nothing."""

    async def scene(place: Place) -> None:
        place.awake()
        place.app.words = "x" * 60_000
        small = socket.socket()
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        small.connect(place.program.address)
        client = Client(*await asyncio.open_connection(sock=small))
        cast("asyncio.Transport", client.writer.transport).pause_reading()
        await place.until(lambda: place.gateway.fronts)
        (front,) = place.gateway.fronts
        with socket.socket(fileno=os.dup(front.transport.get_extra_info("socket").fileno())) as theirs:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
        client.ask(session=SESSION, fields=("Connection: close",))
        await place.until(lambda: place.app.seen and front.exchange is None)
        assert front.transport.get_write_buffer_size()
        await place.until(lambda: not place.gateway.fronts)
        client.writer.transport.abort()

    play(scene, stall_timeout_s=0.3)


def test_purges_that_nobody_takes_word_of_are_told_as_one(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control plane takes no acknowledgements for long: what waits is bounded, and what it cut is still told."""
    monkeypatch.setattr(stream, "MOST_UNTOLD", 5)

    async def scene(place: Place) -> None:
        made = place.awake()
        place.app.behave = echo
        client = await place.client()
        assert (await client.upgrade(session=SESSION)).status == 101
        place.control.down.add("acknowledgements")
        first = place.control.purge("link", made["link_id"])
        for _ in range(20):
            last = place.control.purge("link", uuid4())
        await place.until(lambda: place.gateway.metrics.purges == 21)
        place.control.down.clear()
        told = await place.control.acknowledgement_of(last)
        assert (told.emptied, told.cut_all, told.revision) == (True, 1, last)
        assert [one.revision for one in told.applied] == list(range(last - 4, last + 1))
        assert first < last - 5

    play(scene)


def test_clients_that_vanish_are_noticed(play: Play) -> None:
    """A WebSocket that says nothing for hours is asked by the kernel whether its client is still there."""

    async def scene(place: Place) -> None:
        await place.client()
        await place.until(lambda: place.gateway.fronts)
        (front,) = place.gateway.fronts
        held = front.transport.get_extra_info("socket")
        with socket.socket(held.family, held.type, held.proto, fileno=os.dup(held.fileno())) as same:
            assert same.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert same.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60

    play(scene)
