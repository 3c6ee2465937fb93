"""Knowing our own processes again: by id, start time and boot, never by name."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_cloud.home import read_document, write_private

PROC = Path("/proc")
HOME_MARK = "ENVFORGE_LOCAL_HOME"
STOP_GRACE_S = 8.0


@dataclass(frozen=True)
class ProcessInfo:
    """What the kernel says about one process; times in clock ticks since boot."""

    pid: int
    parent: int
    state: str
    session: int
    started_ticks: int


def inspect(pid: int) -> ProcessInfo | None:
    """The process with this id, or None if there is none (or no /proc to ask)."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return ProcessInfo(
        pid=pid,
        parent=int(fields[1]),
        state=fields[0],
        session=int(fields[3]),
        started_ticks=int(fields[19]),
    )


def is_running(pid: int) -> bool:
    """Whether a process has this id and is not a zombie."""
    found = inspect(pid)
    return found is not None and found.state not in "ZX"


def boot_id() -> str:
    """The kernel's mark of this boot; empty where it has none."""
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def everything() -> Iterator[ProcessInfo]:
    """Every process we may see."""
    if PROC.is_dir():
        for entry in PROC.iterdir():
            if entry.name.isdigit() and (found := inspect(int(entry.name))) is not None:
                yield found


def bears_mark(pid: int, home: Path) -> bool:
    """Whether a process was started with this home's mark in its environment."""
    try:
        return f"{HOME_MARK}={home}".encode() in (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


class Records:
    """Which processes a supervisor has running, on disk, so that the next one can find what was left."""

    def __init__(self, path: Path, home: Path) -> None:
        self._path = path
        self._home = home
        self._running: dict[str, dict[str, Any]] = {}

    def add(self, name: str, pid: int) -> None:
        """Remember a process that leads its own session."""
        found = inspect(pid)
        if found is not None:
            self._running[name] = {"pid": pid, "started_ticks": found.started_ticks, "boot": boot_id()}
            write_private(self._path, self._running)

    def remove(self, name: str) -> None:
        """Forget a process that has ended."""
        if self._running.pop(name, None) is not None:
            write_private(self._path, self._running)

    def leftovers(self) -> dict[str, list[ProcessInfo]]:
        """Processes of an earlier supervisor that still run, by part.

        A session is ours if its leader is the recorded process. If the leader is gone, a member counts only
        when it carries this home's mark: the number might have been given to somebody else since.
        """
        found: dict[str, list[ProcessInfo]] = {}
        processes = [process for process in everything() if process.state not in "ZX"]
        for name, record in read_document(self._path).items():
            pid = int(record["pid"])
            if record["boot"] != boot_id():
                continue
            leader = inspect(pid)
            if leader is not None and leader.started_ticks != record["started_ticks"]:
                continue
            members = [
                process
                for process in processes
                if process.session == pid and (leader is not None or bears_mark(process.pid, self._home))
            ]
            if members:
                found[name] = members
        return found

    def end_leftovers(self) -> list[str]:
        """Stop what an earlier supervisor left running; the names of the parts that were stopped."""
        names = sorted(self.leftovers())
        for number in (signal.SIGINT, signal.SIGKILL):
            deadline = time.monotonic() + STOP_GRACE_S
            for members in self.leftovers().values():
                for process in members:
                    _signal(process, number)
            while self.leftovers() and time.monotonic() < deadline:
                time.sleep(0.05)
        return names


def _signal(process: ProcessInfo, number: signal.Signals) -> None:
    """Signal exactly this process, even if its number is given away meanwhile."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        found = inspect(process.pid)
        if found is not None and found.started_ticks == process.started_ticks:
            signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return
    finally:
        os.close(handle)
