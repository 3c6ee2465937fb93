"""Programs beside a measurement: on a core of their own, and what they use of it."""

import os
import resource
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def pinned(
    command: list[str], core: int, *, environment: dict[str, str] | None = None, answers: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    """A program on one core, ended at the end."""
    search = {**os.environ, **(environment or {})}
    search["PATH"] = f"{search.get('PATH', '')}:/usr/sbin"
    process = subprocess.Popen(
        ["/usr/bin/taskset", "-c", str(core), *command],
        env=search,
        stdout=subprocess.PIPE if answers else None,
        stderr=subprocess.DEVNULL if answers else None,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_s(pid: int) -> float:
    """Seconds its threads have run."""
    return (
        sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9
    )


def memory(pid: int) -> float:
    """Its memory in MiB, shared pages by their share."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("A process is gone.")


def most_files() -> int:
    """As many open files as this machine lets a process have."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    return limit
