"""Programs of people: a shell in tmux, a command, sftp; always as the workspace's account.

An interactive shell attaches to the workspace's one tmux session, whose server has a group of its own and stays when people
leave. Every other program ends with its session. In a root window (R3) shells are plain ones that may use sudo, in a group
that ends with the window.
"""

import asyncio
import contextlib
import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import termios
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncssh

from envforge_daemon.errors import IsolationError
from envforge_daemon.isolation import SHELL, Wall, Workspace
from envforge_daemon.isolation.processes import Started
from envforge_daemon.isolation.workspace import PATH
from envforge_daemon.locks import Locks
from envforge_protocol.host.runtimes import Limits

TMUX_GROUP = "shell-main"
SESSION = "shell"
SFTP_SERVERS = (
    "/usr/lib/openssh/sftp-server",
    "/usr/libexec/openssh/sftp-server",
    "/usr/lib/ssh/sftp-server",
)
PASSED_ON = re.compile(r"LANG|LC_[A-Z]+")
TERMINAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,40}")
CHUNK = 65536
SIGNALS = {
    name: getattr(signal, f"SIG{name}") for name in ("HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "KILL")
}

_tmux_starting = Locks()


@dataclass(frozen=True)
class Grant:
    """What a shell of a root window is given: the window's file, and how the groups of its sessions begin."""

    sudoers: Path
    sessions: str


class Session:
    """One channel of a connection."""

    def __init__(self, workspace: Workspace, *, limits: Limits | None, grant: Grant | None) -> None:
        self._workspace = workspace
        self._limits = limits
        self._grant = grant
        self._group = f"{grant.sessions if grant else SESSION}-{uuid4().hex[:16]}"
        self._started: Started | None = None
        self._over = False

    async def serve(self, process: Any) -> None:
        """Run what is asked for, to its end.

        Raises:
            IsolationError: it could not be started.
        """
        try:
            argv = await self._argv(process)
            if argv is None:
                process.stderr.write(b"sftp is not installed on this VM; use ssh with cat or tar.\n")
                process.exit(127)
                return
            env = self._environment(process)
            if process.term_type:
                status = await self._on_a_terminal(process, argv, env)
            else:
                status = await self._with_pipes(process, argv, env)
            process.exit(min(status, 255))
        finally:
            await asyncio.shield(self.end())

    async def end(self) -> None:
        """End all of it, and whatever would still be started."""
        self._over = True
        with contextlib.suppress(IsolationError):
            await self._workspace.kill_all(self._group)

    async def _argv(self, process: Any) -> tuple[str, ...] | None:
        if process.subsystem is not None:
            server = _sftp_server()
            return (
                (server, "-d", str(self._workspace.inside))
                if process.subsystem == "sftp" and server
                else None
            )
        if process.command is not None:
            return ("/bin/bash", "-lc", process.command)
        if process.term_type and self._grant is None and shutil.which("tmux", path=PATH):
            await self._keep_tmux()
            return ("tmux", "-u", "new-session", "-A", "-s", "main")
        return ("/bin/bash", "-l")

    def _environment(self, process: Any) -> dict[str, str]:
        env = self._workspace.environment(SHELL)
        for name, value in process.env.items():
            if PASSED_ON.fullmatch(str(name)) and len(str(value)) < 100:
                env[str(name)] = str(value)
        if process.term_type:
            env["TERM"] = process.term_type if TERMINAL.fullmatch(process.term_type) else "xterm"
        return env

    async def _keep_tmux(self) -> None:
        """Start tmux's server in the group that outlives sessions, unless it runs."""
        async with _tmux_starting.held(self._workspace.id):
            env = self._workspace.environment(SHELL)
            there = await self._workspace.run(
                ("tmux", "has-session", "-t", "=main"), env=env, limits=self._limits, group="tmux"
            )
            if there.exit_status == 0:
                return
            started = await self._workspace.spawn(
                ("tmux", "-u", "new-session", "-d", "-s", "main", "-x", "200", "-y", "50"),
                group=TMUX_GROUP,
                env=env,
                limits=self._limits,
            )
            await started.wait()

    async def _spawn(self, argv: tuple[str, ...], env: dict[str, str], **streams: Any) -> Started:
        self._started = await self._workspace.spawn(
            argv,
            group=self._group,
            env=env,
            limits=self._limits,
            sudoers=self._grant.sudoers if self._grant else None,
            **streams,
        )
        if self._over:
            # Its connection was cut while it started.
            await self._workspace.kill_all(self._group)
        return self._started

    # A command with pipes

    async def _with_pipes(self, process: Any, argv: tuple[str, ...], env: dict[str, str]) -> int:
        pipe = subprocess.PIPE
        started = await self._spawn(argv, env, stdin=pipe, stdout=pipe, stderr=pipe)
        child = started.child

        async def feed() -> None:
            with contextlib.suppress(OSError):
                async for data in self._input(process, None):
                    if child.stdin is not None:
                        child.stdin.write(data)
                        await child.stdin.drain()
            if child.stdin is not None:
                child.stdin.close()

        feeding = asyncio.create_task(feed())
        drains = [
            asyncio.create_task(_drain(child.stdout, process.stdout)),
            asyncio.create_task(_drain(child.stderr, process.stderr)),
        ]
        try:
            status = await started.wait()
            # What it left behind holds the pipes open, and ends with it.
            await self.end()
            await asyncio.gather(*drains)
        finally:
            for task in (feeding, *drains):
                task.cancel()
        return status

    # A program on a terminal

    async def _on_a_terminal(self, process: Any, argv: tuple[str, ...], env: dict[str, str]) -> int:
        master, slave = pty.openpty()
        try:
            _resize(master, process.term_size)
            if Wall.ACCOUNTS in self._workspace.walls:
                account = self._workspace.account(SHELL)
                os.fchown(slave, account.uid, account.gid)
                os.fchmod(slave, 0o600)
            try:
                started = await self._spawn(argv, env, stdin=slave, stdout=slave, stderr=slave, terminal=True)
            finally:
                os.close(slave)
            os.set_blocking(master, False)
            showing = asyncio.create_task(_show(master, process.stdout))
            typing = asyncio.create_task(self._type(process, master))
            try:
                status = await started.wait()
                await self.end()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(5):
                        await showing
            finally:
                for task in (typing, showing):
                    task.cancel()
                await asyncio.gather(typing, showing, return_exceptions=True)
            return status
        finally:
            os.close(master)

    async def _type(self, process: Any, master: int) -> None:
        async for data in self._input(process, master):
            await _write(master, data)

    async def _input(self, process: Any, master: int | None) -> Any:
        """What the client sends: data is yielded, new sizes and signals are passed on."""
        while True:
            try:
                data = await process.stdin.read(CHUNK)
            except asyncssh.TerminalSizeChanged as change:
                if master is not None:
                    _resize(master, change.term_size)
                continue
            except asyncssh.SignalReceived as received:
                number = SIGNALS.get(received.signal)
                # Once it is collected, its number may be another's.
                if number is not None and self._started and self._started.child.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(self._started.process.pid, number)
                continue
            except asyncssh.BreakReceived:
                continue
            except (OSError, asyncssh.Error):
                return
            if not data:
                return
            yield data


def _sftp_server() -> str | None:
    return next((name for name in SFTP_SERVERS if Path(name).exists()), None)


async def _drain(reader: Any, writer: Any) -> None:
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    except (OSError, asyncssh.Error):
        return


def _resize(master: int, size: tuple[int, int, int, int]) -> None:
    columns, rows, width, height = (min(max(0, number), 65535) for number in size)
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, width, height))


async def _ready(descriptor: int, *, to_write: bool) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    add, remove = (loop.add_writer, loop.remove_writer) if to_write else (loop.add_reader, loop.remove_reader)
    add(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        remove(descriptor)


async def _show(master: int, writer: Any) -> None:
    """Until the last program has closed the terminal, which the kernel tells as an error (EIO)."""
    try:
        while True:
            await _ready(master, to_write=False)
            data = os.read(master, CHUNK)
            if not data:
                return
            writer.write(data)
            await writer.drain()
    except (OSError, asyncssh.Error):
        return


async def _write(master: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(master, data) :]
        except BlockingIOError:
            await _ready(master, to_write=True)
        except OSError:
            return
