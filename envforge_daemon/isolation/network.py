"""A network namespace for each workspace: loopback of its own, and one way out, through the VM.

The kernel is the only record: a namespace is named after its VM and first account, an interface too, and its address is
read from it. So nothing can disagree after a crash. A namespace has no IPv6 but loopback, hence no way around rules for IPv4.
"""

import asyncio
import fcntl
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from envforge_daemon.config import Config
from envforge_daemon.errors import IsolationError
from envforge_daemon.isolation.programs import run

NAMESPACES = Path("/run/netns")
LOCK = Path("/run/envforge-network.lock")
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def interfaces(config: Config) -> str:
    """How all interfaces of this VM's workspaces begin."""
    return f"ef{config.tag}"


def interface(config: Config, uid: int) -> str:
    """The VM's end of a workspace's wire: at most the 15 characters the kernel allows."""
    text = ""
    while uid:
        uid, digit = divmod(uid, len(DIGITS))
        text = DIGITS[digit] + text
    return interfaces(config) + text


def namespace(config: Config, uid: int) -> str:
    """The name of a workspace's namespace."""
    return f"ef-{config.tag}-{uid}"


def path(config: Config, uid: int) -> Path:
    """Where it can be entered."""
    return NAMESPACES / namespace(config, uid)


@asynccontextmanager
async def _alone_on_the_machine() -> AsyncIterator[None]:
    """Addresses are given out by one program at a time; VMs of the local cloud share a machine."""
    descriptor = os.open(LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


async def _taken() -> dict[str, IPv4Address]:
    shown = json.loads(await run("ip", "-json", "-4", "address", "show") or "[]")
    return {
        link["ifname"]: IPv4Address(address["local"])
        for link in shown
        for address in link.get("addr_info", ())
    }


async def make(config: Config, uid: int) -> IPv4Address:
    """Make a workspace's namespace, or find it; the address it has on the VM's side wire.

    Raises:
        IsolationError: it could not be made, or no address is free.
    """
    name, wire = namespace(config, uid), interface(config, uid)
    async with _alone_on_the_machine():
        taken = await _taken()
        if path(config, uid).exists() and wire in taken:
            return taken[wire] + 1
        await _remove(name, wire)
        gateway, own = _free(config.namespace_range, set(taken.values()))
        await run("ip", "netns", "add", name)
        await run("ip", "link", "add", wire, "type", "veth", "peer", "name", "eth0", "netns", name)
        sysctl(f"net/ipv6/conf/{wire}/disable_ipv6", "1")
        await run("ip", "address", "add", f"{gateway}/31", "dev", wire)
        await run("ip", "link", "set", wire, "up")
        await run(
            "ip",
            *("-netns", name, "-batch", "-"),
            given=f"link set lo up\naddress add {own}/31 dev eth0\nlink set eth0 up\nroute add default via {gateway}\n",
        )
    sysctl(f"net/ipv4/conf/{wire}/forwarding", "1")
    sysctl(f"net/ipv4/conf/{wire}/rp_filter", "1")
    for uplink in await _uplinks():
        sysctl(f"net/ipv4/conf/{uplink}/forwarding", "1")
    return own


def _free(range_: IPv4Network, taken: set[IPv4Address]) -> tuple[IPv4Address, IPv4Address]:
    for pair in range_.subnets(new_prefix=31):
        if pair[0] not in taken and pair[1] not in taken:
            return pair[0], pair[1]
    raise IsolationError(f"No address is free in {range_}; too many workspaces are on this machine.")


async def _uplinks() -> set[str]:
    """The interfaces that lead out: answers come in by them, and must be forwarded."""
    routes = json.loads(await run("ip", "-json", "-4", "route", "show", "default") or "[]")
    return {route["dev"] for route in routes if "dev" in route}


def sysctl(name: str, value: str) -> None:
    """Set a kernel setting of one interface."""
    file = Path("/proc/sys") / name
    if file.exists():
        file.write_text(value)


async def remove(config: Config, uid: int) -> None:
    """Take a namespace and its wire away; what still runs in it loses its network at once."""
    await _remove(namespace(config, uid), interface(config, uid))


async def _remove(name: str, wire: str) -> None:
    # The wire first: a namespace that a process still holds would keep its end, and the address.
    await run("ip", "link", "delete", wire, may_fail=True)
    await run("ip", "netns", "delete", name, may_fail=True)


def known(config: Config) -> list[int]:
    """First accounts of the workspaces whose namespaces exist."""
    start = f"ef-{config.tag}-"
    if not NAMESPACES.is_dir():
        return []
    return sorted(
        int(entry.name[len(start) :]) for entry in NAMESPACES.iterdir() if entry.name.startswith(start)
    )
