"""A VM of the tests on this machine: real namespaces, accounts, groups and firewall where they run as root."""

import os
import tempfile
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from envforge_daemon.config import Config
from envforge_daemon.isolation import Walls, Workspace, Workspaces, leftovers, raise_walls
from envforge_daemon.isolation.processes import Ran, Started
from envforge_daemon.isolation.walls import what_holds
from envforge_protocol.host import workspaces as wire
from envforge_protocol.host.runtimes import Limits

# Far above what the local cloud gives out, and apart for each process that runs tests.
_uids = count(1_500_000_000 + (os.getpid() % 100_000) * 1600, 16)
_ports = count(21000 + (os.getpid() % 80) * 100)


def why_no_walls() -> str:
    """Why the walls cannot be tried here; empty where they can."""
    if os.geteuid() != 0:
        return "not run as root: real accounts, namespaces and groups cannot be tried"
    return "; ".join(what_holds().sentences())


def next_port() -> int:
    return next(_ports)


@dataclass
class Machine:
    """One VM: its configuration, and the workspaces on it."""

    config: Config
    walls: Walls
    workspaces: Workspaces
    made: list[Workspace] = field(default_factory=list)

    @classmethod
    async def start(cls, root: Path, **more: Any) -> "Machine":
        config = cls.configured(root, **more)
        walls = await raise_walls(config)
        return cls(config, walls, Workspaces(config, walls))

    @staticmethod
    def configured(root: Path, **more: Any) -> Config:
        return Config.model_validate(
            {
                "control_plane": "http://127.0.0.1:1",
                "host_id": str(UUID(int=uuid4().int)),
                "generation": 1,
                "role": "runtime",
                "region": "eu-central-1",
                "image": "test",
                "listen_address": "127.0.0.1",
                "state_dir": str(root / "state"),
                "run_dir": str(root / "run"),
                "files_root": str(root / "files"),
                "volumes_dir": str(root / "volumes"),
                "programs": str(root / "programs"),
                "machine": "shared",
                "walls": "where_possible",
                "owner_pid": os.getpid(),
                **more,
            }
        )

    def wire(self, name: str) -> wire.Workspace:
        return wire.Workspace(
            id=uuid4(),
            slug=name,
            user=name,
            uid=next(_uids),
            storage=wire.Storage(kind="directory", directory=name),
        )

    async def workspace(self, name: str = "main") -> Workspace:
        made = await self.workspaces.ensure(self.wire(name))
        self.made.append(made)
        return made

    async def end(self) -> None:
        for workspace in self.made:
            await workspace.kill_all()
        if os.geteuid() == 0:
            await leftovers.remove(self.config.tag, self.config.group)


def root() -> tempfile.TemporaryDirectory[str]:
    """A short directory that root owns, as the paths of sockets are bounded."""
    return tempfile.TemporaryDirectory(prefix="ef-", dir="/var/tmp")


SMALL = Limits(memory_mib=64, cpu_millis=1000, processes=20)


async def sh(workspace: Workspace, script: str, *, account: int = 1, limits: Limits = SMALL) -> Ran:
    return await workspace.run(("bash", "-c", script), account=account, timeout_s=20, limits=limits)


async def left_running(workspace: Workspace, script: str, *, account: int, group: str) -> Started:
    return await workspace.spawn(
        ("bash", "-c", script), group=group, account=account, env=workspace.environment(account)
    )
