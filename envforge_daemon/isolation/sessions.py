"""Groups of processes where control groups cannot be had: by the sessions they were started in, without limits.

A process that makes a session of its own leaves the group; that is why `limits` is then told as missing.
"""

import asyncio
import contextlib
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

from envforge_daemon.isolation.processes import start_time
from envforge_protocol.host.runtimes import Limits


@dataclass(frozen=True)
class SessionGroup:
    """The same promises as `cgroups.Group`, as far as they can be kept; `directory` remembers who leads a session of it."""

    directory: Path

    def make(self, limits: Limits | None) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def entrances(self) -> list[str]:
        return []

    def added(self, pid: int, started: int) -> None:
        """Remember a session's leader."""
        (self.directory / f"{pid}-{started}").touch()

    def _leaders(self) -> set[int]:
        leaders = set()
        for entry in self.directory.glob("*-*"):
            pid, _, started = entry.name.partition("-")
            now = start_time(int(pid))
            # A session outlives its leader; its number is not given to another process before it is over.
            if now is None or now == int(started):
                leaders.add(int(pid))
        return leaders

    def processes(self) -> list[int]:
        leaders = self._leaders()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                    if int(fields[3]) in leaders and fields[0] not in "ZX":
                        found.append(int(entry.name))
        return found

    def is_empty(self) -> bool:
        return not self.processes()

    async def kill(self) -> int:
        count = len(self.processes())
        for _ in range(100):
            left = self.processes()
            if not left:
                break
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0.01)
        return count

    def remove(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)

    def below(self) -> list["SessionGroup"]:
        if not self.directory.is_dir():
            return []
        return [SessionGroup(child) for child in sorted(self.directory.iterdir()) if child.is_dir()]
