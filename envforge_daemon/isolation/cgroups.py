"""Control groups: how much a group of processes may take, and ending all of them at once.

Groups are tracked in the unified hierarchy (version 2), which can end a group at once however fast it forks. Where memory,
cpu or pids still belong to a hierarchy of version 1, the group exists there too, under the same name.
"""

import asyncio
import contextlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from envforge_daemon.config import Config
from envforge_daemon.errors import IsolationError
from envforge_protocol.host.runtimes import Limits

CONTROLLERS = ("memory", "cpu", "pids")
PERIOD_US = 100_000
EMPTY_WITHIN_S = 10.0


@dataclass(frozen=True)
class Mounts:
    """Where the unified hierarchy is, and where each controller that it does not have."""

    unified: Path
    old: dict[str, Path]


@cache
def mounts() -> Mounts | None:
    """The hierarchies of this machine; None where they cannot do what we need."""
    return mounted(Path("/proc/self/mounts").read_text())


def mounted(table: str) -> Mounts | None:
    """The same, of a table of mounts."""
    unified: Path | None = None
    old: dict[str, Path] = {}
    for line in table.splitlines():
        _, where, kind, options, *_ = line.split(" ")
        if kind == "cgroup2":
            unified = unified or Path(where)
        elif kind == "cgroup":
            old |= {name: Path(where) for name in CONTROLLERS if name in options.split(",")}
    if unified is None:
        return None
    here = (unified / "cgroup.controllers").read_text().split()
    old = {name: path for name, path in old.items() if name not in here}
    if any(name not in here and name not in old for name in CONTROLLERS):
        return None
    return Mounts(unified, old)


def why_not() -> str:
    """Why limits cannot be had here, in words; empty if they can."""
    if not Path("/proc/self/cgroup").exists():
        return "the kernel has no control groups"
    found = mounts()
    if found is None:
        return "no unified hierarchy of control groups is mounted, or memory, cpu or pids belong to none"
    # Its own: programs that look at the same time must not take it from each other.
    probe = found.unified / f"envforge-probe-{os.getpid()}"
    try:
        probe.mkdir(exist_ok=True)
        able = (probe / "cgroup.kill").exists()
        probe.rmdir()
    except OSError as error:
        return f"control groups cannot be made here ({error.strerror})"
    return "" if able else "the kernel cannot end a group at once; Linux 5.14 or newer is needed"


def _found() -> Mounts:
    found = mounts()
    if found is None:
        raise IsolationError(why_not())
    return found


def _hierarchies() -> list[Path]:
    found = _found()
    return [found.unified, *dict.fromkeys(found.old.values())]


def make_root(config: Config) -> None:
    """Make the group of the whole VM."""
    for hierarchy in _hierarchies():
        (hierarchy / config.group).mkdir(parents=True, exist_ok=True)
    _hand_down(_found().unified, config.group)


def expect_moves() -> None:
    """Have processes moved between groups at once from here on, for some milliseconds; blocks until it is so.

    The first move after a pause waits until every processor has passed by (a grace period of the kernel's, some 10 ms), and those
    right after it do not. Moving this program to where it is already is such a first one.
    """
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        number, _, path = line.split(":", 2)
        if number == "0":
            # A group that others lie below refuses the move, after the wait.
            with contextlib.suppress(OSError):
                (_found().unified / path.lstrip("/") / "cgroup.procs").write_text("0")


def _hand_down(unified: Path, group: str) -> None:
    """Let the groups below have the controllers; the group itself must hold no process."""
    here = (unified / "cgroup.controllers").read_text().split()
    wanted = " ".join(f"+{name}" for name in CONTROLLERS if name in here)
    if not wanted:
        return
    at = unified
    for part in ("", *group.split("/")):
        at /= part
        (at / "cgroup.subtree_control").write_text(wanted)


@dataclass(frozen=True)
class Group:
    """One group of processes of a workspace, such as `service-web`."""

    path: str

    @property
    def unified(self) -> Path:
        return _found().unified / self.path

    def make(self, limits: Limits | None) -> None:
        """Make it, or set its limits anew."""
        found = _found()
        parent = self.path.rpartition("/")[0]
        (found.unified / parent).mkdir(parents=True, exist_ok=True)
        _hand_down(found.unified, parent)
        for hierarchy in _hierarchies():
            (hierarchy / self.path).mkdir(parents=True, exist_ok=True)
        if limits is None:
            return
        memory, quota = limits.memory_mib << 20, max(1000, limits.cpu_millis * PERIOD_US // 1000)
        if "memory" in found.old:
            at = found.old["memory"] / self.path
            # A lower limit of memory and swap together than of memory is refused, so each may need to come first.
            for name in ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.limit_in_bytes"):
                with contextlib.suppress(OSError):
                    if (at / name).exists():
                        (at / name).write_text(str(memory))
            if int((at / "memory.limit_in_bytes").read_text()) > memory:
                raise IsolationError(f"The limit of {limits.memory_mib} MiB cannot be set: more is in use.")
        else:
            self._set("memory.max", str(memory))
            self._set("memory.swap.max", "0", optional=True)
            self._set("memory.oom.group", "1", optional=True)
        if "cpu" in found.old:
            at = found.old["cpu"] / self.path
            (at / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (at / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            self._set("cpu.max", f"{quota} {PERIOD_US}")
        pids = found.old["pids"] / self.path if "pids" in found.old else self.unified
        (pids / "pids.max").write_text(str(limits.processes))

    def _set(self, name: str, value: str, *, optional: bool = False) -> None:
        file = self.unified / name
        if optional and not file.exists():
            return
        file.write_text(value)

    def entrances(self) -> list[str]:
        """The files a process writes itself into to be in the group."""
        return [str(hierarchy / self.path / "cgroup.procs") for hierarchy in _hierarchies()]

    def processes(self) -> list[int]:
        """Who is in it, or in a group below it."""
        found: list[int] = []
        for file in (self.unified / "cgroup.procs", *self.unified.glob("**/cgroup.procs")):
            with contextlib.suppress(OSError):
                found += [int(line) for line in file.read_text().split()]
        return sorted(set(found))

    def is_empty(self) -> bool:
        """Whether nobody is in it, or it is not there."""
        try:
            return "populated 0" in (self.unified / "cgroup.events").read_text()
        except FileNotFoundError:
            return True

    def freeze(self, *, frozen: bool) -> None:
        """Stop all of it where it stands, or let it go on."""
        (self.unified / "cgroup.freeze").write_text("1" if frozen else "0")

    async def kill(self) -> int:
        """End all of it, whatever it does, and wait until nobody is left; how many there were.

        Raises:
            IsolationError: a process did not go (it hangs in the kernel).
        """
        count = len(self.processes())
        if self.is_empty():
            return 0
        with contextlib.suppress(FileNotFoundError):
            (self.unified / "cgroup.kill").write_text("1")
        try:
            async with asyncio.timeout(EMPTY_WITHIN_S):
                while not self.is_empty():  # noqa: ASYNC110 - the kernel tells by this file alone
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise IsolationError(
                f"Processes of {self.path} did not end within {EMPTY_WITHIN_S:.0f} s; the VM needs a restart."
            ) from None
        return count

    def remove(self) -> None:
        """Take it away with those below it; it must be empty."""
        for hierarchy in _hierarchies():
            top = hierarchy / self.path
            below = sorted((path for path in top.glob("**/") if path != top), reverse=True)
            for directory in (*below, top):
                with contextlib.suppress(FileNotFoundError, OSError):
                    directory.rmdir()

    def below(self) -> list["Group"]:
        """The groups directly below."""
        if not self.unified.is_dir():
            return []
        return [
            Group(f"{self.path}/{child.name}") for child in sorted(self.unified.iterdir()) if child.is_dir()
        ]
