"""What a VM is made of in the kernel, and taking it away: processes, control groups, firewall tables, interfaces."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from local_cloud.environment import SYSTEM_PATH
from local_cloud.processes import PROC, ProcessInfo, everything, inspect

CGROUPS = Path("/sys/fs/cgroup")
GONE_WITHIN_S = 10.0
_TURNS = 200


def descendants(pid: int) -> list[ProcessInfo]:
    """Every living process below one, nearest first."""
    children: dict[int, list[ProcessInfo]] = {}
    for process in everything():
        if process.state not in "ZX":
            children.setdefault(process.parent, []).append(process)
    found: list[ProcessInfo] = []
    waiting = [pid]
    while waiting:
        below = children.get(waiting.pop(0), [])
        found += below
        waiting += [one.pid for one in below]
    return found


def alive(pid: int, started_ticks: int) -> bool:
    """Whether exactly this process still runs, and not another that got its number."""
    found = inspect(pid)
    return found is not None and found.started_ticks == started_ticks and found.state not in "ZX"


def send(process: ProcessInfo, number: signal.Signals) -> None:
    """Signal exactly this process."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        handle = os.pidfd_open(process.pid)
        try:
            if alive(process.pid, process.started_ticks):
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)


def kill_tree(pid: int, started_ticks: int, known: Iterable[ProcessInfo] = ()) -> None:
    """End an init and everything below it; as it adopts orphans, nothing escapes while it is held still.

    `known` are processes that were below it when it was last looked at, for when it is gone already.
    """
    top = inspect(pid)
    top = top if top is not None and top.started_ticks == started_ticks else None
    if top is not None:
        send(top, signal.SIGSTOP)
    for _ in range(_TURNS):
        below = descendants(pid) if top is not None else []
        lost = [one for one in known if alive(one.pid, one.started_ticks)]
        for one in list(lost):
            lost += descendants(one.pid)
        if not below and not lost:
            break
        for process in (*below, *lost):
            send(process, signal.SIGKILL)
        time.sleep(0.005)
    if top is not None:
        send(top, signal.SIGKILL)


def inits(spec: Path) -> list[ProcessInfo]:
    """The inits that were started from this specification, whatever a record says: one may have died before writing it."""
    wanted = str(spec).encode()
    found = []
    for process in everything():
        with contextlib.suppress(OSError):
            words = (PROC / str(process.pid) / "cmdline").read_bytes().split(b"\0")
            if wanted in words and process.state not in "ZX":
                found.append(process)
    return found


def wait_gone(pid: int, started_ticks: int) -> bool:
    """Wait until a process has ended; whether it did. A namespace's init ends after everything in it."""
    deadline = time.monotonic() + GONE_WITHIN_S
    while alive(pid, started_ticks):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def number_outside(init: int, inside: int) -> int | None:
    """The number we know a process by that has the number `inside` in the namespace of `init`."""
    for process in descendants(init):
        with contextlib.suppress(OSError):
            for line in (PROC / str(process.pid) / "status").read_text().splitlines():
                if line.startswith("NSpid:") and line.split()[-1] == str(inside):
                    return process.pid
    return None


def remove_control_groups(name: str) -> None:
    """End what is left in a control group of any hierarchy, and remove it with those below."""
    for top in [CGROUPS / name, *CGROUPS.glob(f"*/{name}")]:
        if not top.is_dir():
            continue
        with contextlib.suppress(OSError):
            (top / "cgroup.kill").write_text("1")
        deadline = time.monotonic() + 1.0
        while top.exists() and time.monotonic() < deadline:
            for directory in sorted((one for one in top.rglob("*") if one.is_dir()), reverse=True):
                with contextlib.suppress(OSError):
                    directory.rmdir()
            with contextlib.suppress(OSError):
                top.rmdir()
                break
            time.sleep(0.01)


def remove_network(tag: str) -> None:
    """Remove the firewall table and the interfaces that the daemon of a VM names after `tag`; root's, so only as root."""
    if not tag or os.geteuid() != 0:
        return
    _run("nft", "delete", "table", "inet", f"envforge_{tag}")
    for link in Path("/sys/class/net").glob(f"ef{tag}*"):
        _run("ip", "link", "delete", link.name)
    names = Path("/run/netns")
    for namespace in names.glob(f"ef-{tag}-*") if names.is_dir() else ():
        _run("ip", "netns", "delete", namespace.name)


def _run(*command: str) -> None:
    with contextlib.suppress(OSError):
        subprocess.run(command, check=False, capture_output=True, timeout=10, env={"PATH": SYSTEM_PATH})
