"""The VM is alive, and what is on it is well or not."""

import asyncio
import logging
import os
import shutil
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from envforge_daemon.config import Config
from envforge_daemon.control_plane import ControlPlane, read
from envforge_daemon.errors import DaemonError, Refused
from envforge_daemon.identity import Boot
from envforge_daemon.parts import Part
from envforge_protocol.host.reports import Heartbeat, HeartbeatAnswer, Wall
from envforge_protocol.host.runtimes import Activity

log = logging.getLogger("envforge_daemon")
BEFORE_JOINING_S = 10


def together(told: Iterable[Activity]) -> tuple[Activity, ...]:
    """One activity per workspace: counts are added, and what one knows of declarations stands."""
    found: dict[UUID, Activity] = {}
    for one in told:
        other = found.get(one.workspace_id)
        if other is None:
            found[one.workspace_id] = one
            continue
        found[one.workspace_id] = Activity(
            workspace_id=one.workspace_id,
            running_commands=one.running_commands + other.running_commands,
            shells=one.shells + other.shells,
            declared=one.declared or other.declared,
        )
    return tuple(found.values())


class Pulse:
    """Beats every few seconds."""

    def __init__(
        self,
        config: Config,
        control_plane: ControlPlane,
        boot: Boot,
        parts: Sequence[Part],
        missing_walls: Iterable[Wall] = (),
    ) -> None:
        self._config = config
        self._control_plane = control_plane
        self._boot = boot
        self._parts = parts
        self._missing_walls = tuple(missing_walls)
        self._at_once = asyncio.Event()

    def at_once(self) -> None:
        """Something changed that should be known sooner than at the next beat."""
        self._at_once.set()

    def now(self) -> Heartbeat:
        """The heartbeat of this moment."""
        return Heartbeat(
            boot_id=self._boot.id,
            sequence=self._boot.next(),
            at=datetime.now(UTC),
            services=tuple(state for part in self._parts for state in part.services())[:1000],
            resources=tuple(state for part in self._parts for state in part.resources())[:1000],
            activity=together(one for part in self._parts for one in part.activity())[:200],
            free_memory_mib=_free_memory_mib(),
            free_disk_mib=shutil.disk_usage(self._config.state_dir).free >> 20,
            missing_walls=self._missing_walls,
        )

    async def beat(self) -> None:
        """For as long as the program runs."""
        refused = ""
        while True:
            joined = self._control_plane.joined
            every_s = joined.heartbeat_every_s if joined else BEFORE_JOINING_S
            try:
                answer = await self._control_plane.ask("POST", "heartbeat", body=self.now())
                refused = ""
                told = read(answer, HeartbeatAnswer)
                if told.instruction == "join_again":
                    self._control_plane.forget()
                elif told.instruction == "upgrade":
                    log.warning(
                        "this image is old; the control plane will soon not speak to it. Replace the VM."
                    )
            except Refused as error:
                # Once for each reason: a VM that was shut out is told so every few seconds until it is stopped.
                if str(error) != refused:
                    log.warning("the heartbeat was refused: %s", error)
                refused = str(error)
            except DaemonError:
                # The poll says that the control plane is away; once is enough.
                pass
            try:
                async with asyncio.timeout(every_s):
                    await self._at_once.wait()
                self._at_once.clear()
            except TimeoutError:
                continue


def _free_memory_mib() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) >> 10
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
