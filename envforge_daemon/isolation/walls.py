"""Which walls this machine can have, and which of them stand."""

import ctypes
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from envforge_daemon.config import Config
from envforge_daemon.errors import IsolationError
from envforge_daemon.isolation import cgroups, firewall, leftovers
from envforge_protocol.host.reports import Wall

WORDS = {
    Wall.ACCOUNTS: "an account of its own for each service",
    Wall.NAMESPACES: "a network namespace for each workspace",
    Wall.FIREWALL: "the firewall before metadata and control plane",
    Wall.LIMITS: "limits of memory, processors and processes",
    Wall.PRIVATE_VIEW: "private /tmp, and /proc without others' processes",
}


@dataclass(frozen=True)
class Walls:
    """The walls in force, and for each missing one why, in words."""

    standing: frozenset[Wall]
    missing: dict[Wall, str]

    def __contains__(self, wall: Wall) -> bool:
        return wall in self.standing

    def sentences(self) -> list[str]:
        """What to say at the start; nothing where all stand."""
        return [f"Not in force here: {WORDS[wall]} ({reason})." for wall, reason in self.missing.items()]


def what_holds() -> Walls:
    """Find out what this machine and this user can have, without changing anything."""
    missing: dict[Wall, str] = {}
    if os.geteuid() != 0:
        reason = "the program does not run as root"
        return Walls(frozenset(), dict.fromkeys(Wall, reason))
    for wall, program, package in (
        (Wall.NAMESPACES, "ip", "iproute2"),
        (Wall.FIREWALL, "nft", "nftables"),
    ):
        if shutil.which(program) is None:
            missing[wall] = f"{program} is not installed; apt-get install {package}"
    if not Path("/proc/self/ns/net").exists():
        missing[Wall.NAMESPACES] = "the kernel has no network namespaces"
    if Wall.NAMESPACES in missing and Wall.FIREWALL not in missing:
        missing[Wall.FIREWALL] = "it needs network namespaces"
    if not _may_mount():
        missing[Wall.PRIVATE_VIEW] = "mounting is not allowed here"
    reason = cgroups.why_not()
    if reason:
        missing[Wall.LIMITS] = reason
    return Walls(frozenset(Wall) - missing.keys(), missing)


def _may_mount() -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    child = os.fork()
    if child == 0:
        os._exit(0 if libc.unshare(0x00020000) == 0 else 1)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


async def raise_walls(config: Config) -> Walls:
    """Find out what can be had, and build what is for the whole VM: its group, its firewall.

    Raises:
        IsolationError: a wall is missing and the configuration requires all; or one could not be built.
    """
    walls = what_holds()
    if walls.missing and config.walls == "required":
        raise IsolationError(
            "This VM may run no customer's code.\n  "
            + "\n  ".join(walls.sentences())
            + '\nInstall what is missing, or set "walls": "where_possible" on a machine for development.'
        )
    if Wall.NAMESPACES in walls and config.owner_pid is not None:
        await leftovers.sweep()
        leftovers.register(config)
    if Wall.LIMITS in walls:
        cgroups.make_root(config)
    if Wall.FIREWALL in walls:
        await firewall.begin(config)
    return walls
