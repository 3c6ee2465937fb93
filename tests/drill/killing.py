"""Starting the drill's programs, killing a part the hard way, and waiting until the supervisor has brought it back."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from local_cloud.cloud import Cloud
from local_cloud.home import REPOSITORY
from local_cloud.processes import everything
from local_cloud.supervisor import State, Supervisor

BACK_WITHIN_S = 60.0


@dataclass(frozen=True)
class Kill:
    """One kill: which part, when, how many of its processes, and when it was ready again."""

    part: str
    at: float
    processes: int
    back_at: float


def family(leader: int) -> list[int]:
    """A process and all that descend from it; PostgreSQL's lead sessions of their own."""
    children: dict[int, list[int]] = {}
    for process in everything():
        children.setdefault(process.parent, []).append(process.pid)
    found = [leader]
    for pid in found:
        found += children.get(pid, [])
    return found


def kill(supervisor: Supervisor, part: str, *, whole: bool) -> tuple[int, float, int]:
    """SIGKILL a part's first process, or all of them; answers its number, when, and how many it were."""
    leader = supervisor.pid(part)
    victims = family(leader) if whole else [leader]
    at = time.monotonic()
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return leader, at, len(victims)


def wait_until_back(supervisor: Supervisor, part: str, leader: int) -> float:
    """Wait for a part to be ready in a new process; answers when it was."""
    deadline = time.monotonic() + BACK_WITHIN_S
    while time.monotonic() < deadline:
        with contextlib.suppress(LookupError):
            if supervisor.pid(part) != leader and supervisor.state(part) is State.READY:
                return time.monotonic()
        time.sleep(0.05)
    raise AssertionError(f"{part} was not back after {BACK_WITHIN_S:.0f} s")


def start(cloud: Cloud, module: str, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start one of the drill's programs, with what a web process knows."""
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.Popen(command, cwd=REPOSITORY, env=cloud.environment("web"))


def eventually(holds: Callable[[], bool], within_s: float, what: str) -> float:
    """Wait for something to hold; answers how long it took, in seconds."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < within_s, f"{what}: not within {within_s:.0f} s"
        time.sleep(0.1)
    return time.monotonic() - began
