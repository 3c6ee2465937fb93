"""What the firewall closes while the control plane's name cannot be resolved (THREATS H1)."""

import asyncio
import contextlib
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from envforge_daemon.isolation import firewall
from tests.daemon.test_volumes import config


def test_h1_what_was_closed_stays_closed_while_a_name_cannot_be_resolved(tmp_path: Path) -> None:
    """Code in a namespace may use the resolver, and so may use it up."""
    known = (IPv4Address("192.0.2.7"), 443)
    nameless = config(tmp_path, control_plane="https://control-plane.invalid")
    assert known in asyncio.run(firewall.protected(nameless, [known]))
    named = config(tmp_path, control_plane="https://192.0.2.8")
    assert known not in asyncio.run(firewall.protected(named, [known]))


def test_h1_nothing_begins_before_it_is_known_what_to_close(tmp_path: Path) -> None:
    """H1: at the start nothing is known yet; the program waits for the name instead of leaving its addresses open."""
    nameless = config(tmp_path, control_plane="https://control-plane.invalid")
    with pytest.raises(firewall.Unresolvable, match=r"control-plane\.invalid cannot be resolved"):
        asyncio.run(firewall.protected(nameless))

    async def begin() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await firewall.begin(nameless)

    asyncio.run(begin())
    assert firewall.in_force(nameless) == []
