"""A process that runs for long: it remembers no more than it may, and does not go on without its watch."""

import asyncio
from typing import Any, cast
from uuid import uuid4

import pytest

from envforge_gateway import activity
from envforge_gateway.activity import Activity
from envforge_gateway.errors import GatewayError
from tests.gateway.conftest import Place
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
