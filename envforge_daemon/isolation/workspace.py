"""One workspace on this VM: its accounts, its namespace, its processes, its files."""

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from envforge_daemon.apart import in_own_thread
from envforge_daemon.config import Config
from envforge_daemon.errors import IsolationError
from envforge_daemon.isolation import cgroups, firewall, network, reading, removal, scratch, view
from envforge_daemon.isolation.accounts import SHELL, Account, accounts, private_directory
from envforge_daemon.isolation.data import DataPlace
from envforge_daemon.isolation.directories import below_root, make_directory
from envforge_daemon.isolation.processes import Ran, Started, collect, start
from envforge_daemon.isolation.sessions import SessionGroup
from envforge_daemon.isolation.walls import Walls
from envforge_protocol.host import workspaces as wire
from envforge_protocol.host.reports import Wall
from envforge_protocol.host.runtimes import Limits

PROGRAMS = Path(__file__).parent
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# For the daemon's own small programs (probe, files): they need little, and must not be starved.
OWN_LIMITS = Limits(memory_mib=256, cpu_millis=1000, processes=32)
READ_WITHIN_S = 60.0
OPEN_FILES = 65_536
PROCESSES_OF_AN_ACCOUNT = 8_192
# More likely to be ended than the daemon when the VM runs out of memory.
OOM_SCORE = 500

Network = Literal["namespace", "vm"]
Stream = int | None


class Workspace:
    """What `Workspaces.ensure` returns. All paths given to it lie below `directory`, the workspace's files."""

    def __init__(self, config: Config, walls: Walls, workspace: wire.Workspace) -> None:
        self.config = config
        self.walls = walls
        self.wire = workspace
        self.id = workspace.id
        self.uid = workspace.uid
        self.directory = below_root(config, workspace)
        # Where its own processes see its files: short, and the same on every VM.
        self.inside = view.INSIDE if Wall.PRIVATE_VIEW in walls else self.directory
        home = None if Wall.PRIVATE_VIEW in walls else self.directory / view.HOME
        self.accounts = accounts(workspace, home)
        self.address: IPv4Address | None = None

    # Building

    async def ensure(self) -> None:
        """Build whatever of it is missing; safe at any time, with its processes running.

        Raises:
            IsolationError: a wall could not be built or does not hold. Then nothing of the workspace may be started.
        """
        make_directory(self.directory, self.accounts[SHELL], mode=0o2770, root=self.config.files_root)
        self.run_dir.mkdir(parents=True, exist_ok=True, mode=0o755)
        if Wall.PRIVATE_VIEW in self.walls:
            await scratch.attach(self.config, self.uid)
        for account in self.accounts if Wall.ACCOUNTS in self.walls else ():
            private = private_directory(self.config, account)
            for name in ("tmp",) if account.number == SHELL else ("tmp", "home"):
                make_directory(private / name, account, mode=0o700, root=self.config.state_dir)
        if Wall.PRIVATE_VIEW in self.walls:
            view.write(self)
        if Wall.NAMESPACES in self.walls:
            self.address = await network.make(self.config, self.uid)
        await self.prove()
        await self.make_directory(view.HOME, mode=0o700)

    async def prove(self) -> None:
        """Try, as the workspace's code would, to reach what it must not reach (THREATS H1).

        Raises:
            IsolationError: it was reached, or nobody could tell.
        """
        if Wall.FIREWALL not in self.walls:
            return
        closed = await firewall.protected(self.config, firewall.in_force(self.config))
        await asyncio.gather(self._prove(closed, "namespace"), self._prove(closed, "vm"))

    async def _prove(self, closed: Sequence[tuple[firewall.Address, int]], where: Network) -> None:
        here = os.readlink("/proc/self/ns/net")  # noqa: PTH115 - no path, the number of a namespace
        inside = where == "namespace"
        # The namespace's own loopback is the workspace's; that it is not the VM's is seen by its number.
        targets = [(str(a), port) for a, port in closed if not (inside and a.is_loopback)]
        ran = await self.run(
            (json.dumps(targets),),
            own_program="probe.py",
            network=where,
            directory="/",
            timeout_s=15,
            group="probe",
        )
        try:
            told = json.loads(ran.output)
        except ValueError:
            raise IsolationError("The probe of the firewall gave no answer; nothing is started.") from None
        if told["reached"] or told["uid"] != self.uid or inside == (told["network"] == here):
            what = ", ".join(told["reached"]) or "the VM's own network"
            raise IsolationError(
                f"The firewall does not hold: a workspace reached {what}. Nothing is started."
            )

    @property
    def run_dir(self) -> Path:
        """The daemon's own small files about it."""
        return self.config.run_dir / "workspaces" / str(self.uid)

    # Processes

    def account(self, number: int) -> Account:
        """One of its accounts; 0 is the shell's."""
        return self.accounts[number]

    def environment(self, number: int) -> dict[str, str]:
        """What every program of an account needs in its environment; `spawn` adds nothing by itself."""
        account = self.accounts[number]
        return {
            "HOME": str(account.home),
            "USER": account.name,
            "LOGNAME": account.name,
            "SHELL": "/bin/bash",
            "PATH": PATH,
            "LANG": "C.UTF-8",
        }

    def group(self, name: str) -> cgroups.Group | SessionGroup:
        """The group of processes of that name."""
        if Wall.LIMITS in self.walls:
            return cgroups.Group(f"{self.config.group}/{self.uid}/{name}")
        return SessionGroup(self.config.run_dir / "sessions" / str(self.uid) / name)

    async def expect_starts(self) -> None:
        """Make the next start of a program quick, which is about to follow."""
        if Wall.LIMITS in self.walls:
            await in_own_thread(cgroups.expect_moves)

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        group: str,
        env: Mapping[str, str],
        account: int = SHELL,
        directory: str = ".",
        limits: Limits | None = None,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
        descriptors: Sequence[int] = (),
        terminal: bool = False,
        sudoers: Path | None = None,
        network: Network = "namespace",
        umask: int = 0o007,
        own_program: str = "",
        data: Path | None = None,
    ) -> Started:
        """Start a program behind the walls; returns once it runs, in a session of its own. It outlives the daemon.

        `env` is its whole environment. `stdin`, `stdout`, `stderr` are descriptors, `subprocess.PIPE`, or None for /dev/null;
        `descriptors` are handed on under their numbers. `terminal`: standard input is a terminal and becomes the controlling
        one. `own_program`: a file beside this one, whose `main` is called with `argv` as the account. `sudoers`: a root window's file; set-uid programs work then (sudo). `network="vm"` is for git alone.
        `limits` are the group's, set anew if given; a group has none until they are. `data`: a resource's directory, which
        it sees at `data_inside(data)`.

        Raises:
            IsolationError: it could not be started; says why, without its environment.
        """
        members = self.group(group)
        members.make(limits)
        specification = self.specification(
            argv,
            env=env,
            account=account,
            directory=directory,
            descriptors=descriptors,
            terminal=terminal,
            sudoers=sudoers,
            network=network,
            umask=umask,
            own_program=own_program,
            entrances=members.entrances(),
            data=data,
        )
        started = await start(specification, stdin=stdin, stdout=stdout, stderr=stderr)
        if isinstance(members, SessionGroup):
            members.added(started.process.pid, started.process.started)
        return started

    def specification(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        account: int,
        directory: str,
        descriptors: Sequence[int],
        terminal: bool,
        sudoers: Path | None,
        network: Network,
        umask: int,
        own_program: str,
        entrances: list[str],
        data: Path | None = None,
    ) -> dict[str, Any]:
        """What `enter.py` is told."""
        who = self.accounts[account]
        as_root = Wall.ACCOUNTS in self.walls
        limits = {"CORE": 1, "NOFILE": OPEN_FILES}
        if as_root:
            limits["NPROC"] = PROCESSES_OF_AN_ACCOUNT
        return {
            "argv": list(argv),
            "own_program": str(PROGRAMS / own_program) if own_program else None,
            "environment": dict(env),
            "groups_files": entrances,
            "oom_score": OOM_SCORE,
            "network": self._network_path(network),
            "view": view.of(self, who, data, sudoers) if Wall.PRIVATE_VIEW in self.walls else None,
            "umask": umask,
            "terminal": terminal,
            "limits": limits,
            "descriptors": list(descriptors),
            "account": {"uid": who.uid, "gid": who.gid, "groups": []} if as_root else None,
            "directory": str(self.inside / directory),
            "may_elevate": sudoers is not None,
            "dies_with_parent": False,
        }

    def data_inside(self, data: Path) -> Path:
        """How a resource's own processes name its directory."""
        return view.DATA if Wall.PRIVATE_VIEW in self.walls else data

    def _network_path(self, where: Network) -> str | None:
        if where == "vm" or Wall.NAMESPACES not in self.walls:
            return None
        return str(network.path(self.config, self.uid))

    async def run(
        self,
        argv: Sequence[str],
        *,
        account: int = SHELL,
        env: Mapping[str, str] | None = None,
        directory: str = ".",
        given: bytes | None = None,
        timeout_s: float = 60.0,
        limit_bytes: int = 1 << 20,
        limits: Limits | None = OWN_LIMITS,
        network: Network = "namespace",
        group: str = "",
        umask: int = 0o007,
        own_program: str = "",
        data: Path | None = None,
    ) -> Ran:
        """Run a program to its end, with standard output and error together; whatever it left running is ended.

        Raises:
            IsolationError: it could not be started.
        """
        name = f"{group or 'run'}-{uuid4().hex[:12]}"
        try:
            started = await self.spawn(
                argv,
                group=name,
                env=self.environment(account) if env is None else env,
                account=account,
                directory=directory,
                limits=limits,
                stdin=None if given is None else asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                network=network,
                umask=umask,
                own_program=own_program,
                data=data,
            )
            return await collect(started, given=given, timeout_s=timeout_s, limit_bytes=limit_bytes)
        finally:
            members = self.group(name)
            await asyncio.shield(members.kill())
            members.remove()

    def groups(self, kind: str = "*") -> list[str]:
        """Names of its groups that exist: one, or all that begin as given before a `*`."""
        names = [self._name(found) for found in self.group("").below()]
        if kind.endswith("*"):
            return [name for name in names if name.startswith(kind[:-1])]
        return [name for name in names if name == kind]

    @staticmethod
    def _name(found: cgroups.Group | SessionGroup) -> str:
        return found.path.rpartition("/")[2] if isinstance(found, cgroups.Group) else found.directory.name

    async def kill_all(self, kind: str = "*") -> int:
        """End every process of the groups and take the groups away; how many processes there were."""
        ended = 0
        for name in self.groups(kind):
            members = self.group(name)
            ended += await members.kill()
            members.remove()
        return ended

    # Files, always as the account (THREATS H2)

    async def _files(self, *argv: str, given: bytes | None = None) -> Ran:
        return await self.run(argv, own_program="files.py", given=given, limit_bytes=4096, group="files")

    async def read_file(self, path: str, *, limit: int) -> bytes | None:
        """A regular file's content; None if there is none.

        Raises:
            IsolationError: it is longer than `limit`, no regular file, or reached through a symbolic link.
        """
        account = self.accounts[SHELL] if Wall.ACCOUNTS in self.walls else None
        read = partial(reading.read_as, account, self.directory, path, limit=limit)
        try:
            async with asyncio.timeout(READ_WITHIN_S):
                return await in_own_thread(read)
        except TimeoutError:
            raise IsolationError(f"{path} could not be read within {READ_WITHIN_S:.0f} s.") from None
        except reading.TooLong:
            raise IsolationError(f"{path} is longer than {limit} bytes.") from None
        except OSError:
            raise IsolationError(
                f"{path} cannot be read: it must be a regular file, and no part of its path a link."
            ) from None

    async def write_file(self, path: str, content: bytes, *, mode: int = 0o660) -> None:
        """Put a file in place, whole or not at all.

        Raises:
            IsolationError: it could not be written.
        """
        ran = await self._files("write", path, f"{mode:o}", given=content)
        if ran.exit_status:
            raise IsolationError(f"{path} cannot be written: {ran.output.decode(errors='replace')[:200]}")

    async def make_directory(self, path: str, *, mode: int = 0o2770) -> None:
        """Make a directory unless it is there.

        Raises:
            IsolationError: something else is there, or it could not be made.
        """
        ran = await self._files("make", path, f"{mode:o}")
        if ran.exit_status:
            raise IsolationError(f"{path} cannot be made: {ran.output.decode(errors='replace')[:200]}")

    async def remove(
        self,
        *,
        delete_files: bool = False,
        data: DataPlace | None = None,
        delete_resources: Sequence[str] = (),
    ) -> int:
        """End everything of it and take its walls away; with `delete_files` its files too, and the data of the named
        resources. How many processes ended.

        Raises:
            IsolationError: something did not end, or files remain.
        """
        return await removal.remove(
            self, delete_files=delete_files, data=data, delete_resources=delete_resources
        )
