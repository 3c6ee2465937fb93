"""Processes behind the walls: how they are started, known again after a restart, and waited for."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envforge_daemon.errors import IsolationError

ENTER = str(Path(__file__).with_name("enter.py"))

# More than any honest program needs to go through the walls on a busy machine.
ENTERING_S = 30.0
READ_CHUNK = 65536


@dataclass(frozen=True)
class Process:
    """A process, known by number and start time (clock ticks since boot), so that a number used again is not taken for it."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> "Process | None":
        """The process that has this number now."""
        started = start_time(pid)
        return None if started is None else cls(pid, started)

    def lives(self) -> bool:
        """Whether it still runs; a zombie does not."""
        return start_time(self.pid) == self.started

    async def wait(self) -> None:
        """Until it has ended; works for processes that are no children of ours. A child's exit status is left to its parent."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if not self.lives():
                return
            loop = asyncio.get_running_loop()
            ended = asyncio.Event()
            loop.add_reader(descriptor, ended.set)
            try:
                await ended.wait()
            finally:
                loop.remove_reader(descriptor)
        finally:
            os.close(descriptor)

    def signal(self, number: int) -> bool:
        """Send a signal to it alone, never to a later bearer of its number; False if it is gone."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if not self.lives():
                return False
            _pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)
        return True


def _pidfd_send_signal(descriptor: int, number: int) -> None:
    signal.pidfd_send_signal(descriptor, number)


def start_time(pid: int) -> int | None:
    """Field 22 of /proc/PID/stat; None for what is gone or only waits to be collected."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


@dataclass(frozen=True)
class Ran:
    """How a program that was waited for ended: exit status as a shell gives it (128 + signal), its output cut at the limit."""

    exit_status: int
    output: bytes
    truncated: bool
    timed_out: bool
    duration_s: float


@dataclass
class Started:
    """A child of ours: `process` to know it by, `child` to read and to collect its status."""

    process: Process
    child: asyncio.subprocess.Process = field(repr=False)

    async def wait(self) -> int:
        """Its exit status as a shell gives it."""
        status = await self.child.wait()
        return status if status >= 0 else 128 - status


async def start(
    specification: dict[str, Any], *, stdin: int | None, stdout: int | None, stderr: int | None
) -> Started:
    """Start a program through `enter.py`, and return once it runs.

    Raises:
        IsolationError: it did not get through the walls or could not be executed; says where it stopped.
    """
    spec_read, spec_write = os.pipe()
    told_read, told_write = os.pipe()
    try:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-S", ENTER, str(spec_read), str(told_write)),
            stdin=asyncio.subprocess.DEVNULL if stdin is None else stdin,
            stdout=asyncio.subprocess.DEVNULL if stdout is None else stdout,
            stderr=asyncio.subprocess.DEVNULL if stderr is None else stderr,
            pass_fds=(spec_read, told_write, *specification["descriptors"]),
            env={"PATH": os.defpath, "LANG": "C.UTF-8"},
            cwd="/",
        )
    except BaseException:
        for descriptor in (spec_read, spec_write, told_read, told_write):
            os.close(descriptor)
        raise
    os.close(spec_read)
    os.close(told_write)
    try:
        async with asyncio.timeout(ENTERING_S):
            await _write_all(spec_write, json.dumps(specification).encode())
            complaint = await _read_all(told_read)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        raise
    if complaint:
        await child.wait()
        reason = json.loads(complaint)["reason"]
        raise IsolationError(
            f"{specification['own_program'] or specification['argv'][0]} did not start: {reason}"
        )
    started = start_time(child.pid)
    # One that has ended already is known by a start time nothing else has.
    return Started(Process(child.pid, -1 if started is None else started), child)


async def _write_all(descriptor: int, data: bytes) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(descriptor, "wb"))
    transport.write(data)
    transport.close()


async def _read_all(descriptor: int) -> bytes:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb")
    )
    try:
        return await reader.read()
    finally:
        transport.close()


async def collect(started: Started, *, given: bytes | None, timeout_s: float, limit_bytes: int) -> Ran:
    """Wait for a program with its output in a pipe; what is beyond the limit is read and dropped, so that it does not stall."""
    began = time.monotonic()
    kept = bytearray()
    truncated = False

    async def feed() -> None:
        if started.child.stdin is None:
            return
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            started.child.stdin.write(given or b"")
            await started.child.stdin.drain()
        started.child.stdin.close()

    async def drain() -> None:
        nonlocal truncated
        if started.child.stdout is None:
            return
        while chunk := await started.child.stdout.read(READ_CHUNK):
            room = limit_bytes - len(kept)
            kept.extend(chunk[:room])
            truncated = truncated or len(chunk) > room

    timed_out = False
    try:
        async with asyncio.timeout(timeout_s):
            await asyncio.gather(feed(), drain())
            await started.child.wait()
    except TimeoutError:
        timed_out = True
    finally:
        if started.child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(started.child.pid, 9)
    status = await started.wait()
    return Ran(status, bytes(kept), truncated, timed_out, time.monotonic() - began)
