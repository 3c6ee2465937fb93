"""Keepers as the daemon sees them: started, found again after a restart, told to stop, heard of."""

import asyncio
import base64
import contextlib
import json
import os
import shutil
import signal
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envforge_daemon.errors import IsolationError
from envforge_daemon.isolation import Process, Workspace
from envforge_daemon.isolation.accounts import SHELL
from envforge_daemon.isolation.cgroups import Group
from envforge_daemon.keeper import files
from envforge_daemon.services import keeping
from envforge_daemon.spare import Spare
from envforge_protocol.host.runtimes import Check, Limits

CHECKER = str(Path(files.__file__).with_name("checker.py"))
STARTED_WITHIN_S = 30.0
SOCKET = "keepers.sock"
ABOUT = "about.json"

# A service that crashes this often, with less than this between, is left alone until somebody acts.
MOST_CRASHES, CALM_S = 5, 60.0


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A check in a server's own protocol: what is sent to the port, and what the answer of one that is ready holds.

    `also` must pass as well, after it.
    """

    port: int
    send: bytes = field(repr=False)
    expect: str
    every_s: float = 5.0
    timeout_s: float = 3.0
    unhealthy_after: int = 3
    also: "Reply | None" = None

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """As the checker reads it; `mode` is JSON's, as a message's is."""
        return {
            **vars(self),
            "kind": "reply",
            "send": base64.b64encode(self.send).decode(),
            "also": self.also.model_dump(mode=mode) if self.also else None,
        }


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to run. `about` is remembered beside the run, for whoever adopts it; it holds no value."""

    name: str
    command: Sequence[str]
    account: int
    directory: str
    environment: dict[str, str] = field(repr=False)
    masks: Iterable[bytes] = field(repr=False, default=())
    limits: Limits
    about: dict[str, Any] = field(default_factory=dict)
    log: str | None = None
    limit_bytes: int | None = None
    restarts: bool = False
    timeout_s: float | None = None
    grace_s: float = 10.0
    stop_signal: int = signal.SIGTERM
    # A resource's directory, shown to it alone.
    data: Path | None = None
    # One of the daemon's own programs, whose `main` is called with `command`.
    own_program: str = ""
    health: Check | Reply | None = None
    smoke: Check | None = None


@dataclass(frozen=True)
class State:
    """What a keeper last told."""

    phase: str
    health: str
    reason: str
    changed_at: float
    began_at: float | None
    ended_at: float | None
    restarts: int
    exit_status: int | None
    gave_up: bool
    timed_out: bool
    healthy_ms: int | None
    smoke: tuple[bool, str] | None
    output_bytes: int
    truncated: bool

    @classmethod
    def read(cls, document: dict[str, Any]) -> "State":
        smoke = document["smoke"]
        return cls(
            **{name: document[name] for name in cls.__dataclass_fields__ if name != "smoke"},
            smoke=(smoke[0], smoke[1]) if smoke else None,
        )

    @property
    def ended(self) -> bool:
        return self.phase == "ended"


class Kept:
    """One run. Its directory outlives it until `forget`."""

    def __init__(self, workspace: Workspace, directory: Path) -> None:
        self.workspace = workspace
        self.directory = directory
        self.changed = asyncio.Event()

    @property
    def name(self) -> str:
        return self.directory.name

    @property
    def about(self) -> dict[str, Any]:
        """What was remembered of it."""
        return files.read(self.directory / ABOUT) or {}

    @property
    def output(self) -> Path:
        """The masked output, where it was asked for by `limit_bytes`."""
        return self.directory / files.OUTPUT

    def remember(self, **about: Any) -> None:
        """Change what is remembered of it."""
        files.write(self.directory / ABOUT, {**self.about, **about})

    def state(self) -> State:
        """What its keeper last told; "ended" where it was killed and can tell no more."""
        document = files.read(self.directory / files.STATE)
        if document is None:
            return _LOST
        state = State.read(document)
        if not state.ended and not files.is_held(self.directory):
            lost = {"phase": "ended", "health": "crashed", "reason": _LOST.reason, "gave_up": True}
            return State(**{**vars(state), **lost})
        return state

    async def next(self, timeout_s: float) -> State:
        """The state after its next change, or after a while; a keeper that was killed makes no change."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self.changed.wait()
        self.changed.clear()
        return self.state()

    async def stop(self, grace_s: float) -> int:
        """End it: politely, and after `grace_s` all of its group; how many processes had to be killed."""
        document = files.read(self.directory / files.STATE)
        if document is not None and files.is_held(self.directory):
            keeper = Process(*document["keeper"])
            keeper.signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await keeper.wait()
            if keeper.lives():
                keeper.signal(signal.SIGUSR1)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(5.0):
                        await keeper.wait()
        ended = await self.workspace.kill_all(self.name)
        await self.workspace.kill_all(f"keeper-{self.name}")
        return ended

    def forget(self) -> None:
        """Remove what is left of it; it must have ended."""
        shutil.rmtree(self.directory, ignore_errors=True)
        for name in (self.name, f"keeper-{self.name}", f"check-{self.name}"):
            self.workspace.group(name).remove()


_LOST = State(
    *("ended", "crashed", "its keeper was killed"),
    changed_at=0.0,
    began_at=None,
    ended_at=None,
    restarts=0,
    exit_status=None,
    gave_up=True,
    timed_out=False,
    healthy_ms=None,
    smoke=None,
    output_bytes=0,
    truncated=False,
)


class Keepers:
    """Every run of this VM, by workspace and name."""

    def __init__(self, run_dir: Path) -> None:
        self._directory = run_dir / "keepers"
        self._socket_path = run_dir / SOCKET
        self._kept: dict[tuple[int, str], Kept] = {}
        self._socket: socket.socket | None = None
        self._ahead = Spare(lambda ahead: keeping.make_keeper(ahead=ahead), keeping.is_usable)
        # Also what collects a keeper's exit status, as long as it is a child of this process.
        self._handing_over: set[asyncio.Task[tuple[bytes, bytes]]] = set()
        self.changed = asyncio.Event()

    def listen(self) -> None:
        """Hear of changes from now on; what changed before is in the states."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._socket_path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(self._socket_path))
        self._socket_path.chmod(0o600)
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._heard, self._socket)

    async def keep_ahead(self) -> None:
        """Have a keeper made ahead, until cancelled."""
        await self._ahead.keep(keeping.discard)

    def close(self) -> None:
        """Hear no more; the runs go on."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _heard(self, heard: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while name := heard.recv(256).decode(errors="replace"):
                for (_, known), kept in self._kept.items():
                    if known == name:
                        kept.changed.set()
                self.changed.set()

    def of(self, workspace: Workspace, prefix: str = "") -> list[Kept]:
        """The runs of a workspace whose names begin so."""
        return [
            kept
            for (uid, name), kept in self._kept.items()
            if uid == workspace.uid and name.startswith(prefix)
        ]

    def get(self, workspace: Workspace, name: str) -> Kept | None:
        return self._kept.get((workspace.uid, name))

    def known(self) -> list[int]:
        """First accounts of the workspaces that have runs on this VM, known in this process or not."""
        if not self._directory.is_dir():
            return []
        return sorted(int(entry.name) for entry in self._directory.iterdir() if entry.name.isdigit())

    async def adopt(self, workspace: Workspace) -> list[Kept]:
        """Take over a workspace's runs after a restart. What a killed keeper left running is ended: nobody watches or masks it."""
        found = []
        directory = self._directory / str(workspace.uid)
        for entry in sorted(directory.iterdir()) if directory.is_dir() else ():
            key = (workspace.uid, entry.name)
            if key not in self._kept:
                self._kept[key] = kept = Kept(workspace, entry)
                if not files.is_held(entry):
                    await kept.stop(0)
            found.append(self._kept[key])
        return found

    async def adopt_all(self, ensure: Callable[[dict[str, Any]], Awaitable[Workspace | None]]) -> list[Kept]:
        """Take over every run on this VM whose workspace can be ensured from what was remembered of it."""
        found = []
        for uid in self.known():
            for entry in sorted((self._directory / str(uid)).iterdir()):
                remembered = (files.read(entry / ABOUT) or {}).get("workspace")
                workspace = await ensure(remembered) if remembered else None
                if workspace is not None:
                    found += await self.adopt(workspace)
                    break
        return found

    async def start(self, workspace: Workspace, wanted: Wanted) -> Kept:
        """Start a run; one of the same name must have been forgotten.

        Raises:
            IsolationError: its keeper did not start.
        """
        directory = self._directory / str(workspace.uid) / wanted.name
        directory.mkdir(parents=True, mode=0o700)
        files.write(
            directory / ABOUT,
            {
                **wanted.about,
                "account": wanted.account,
                "workspace": workspace.wire.model_dump(mode="json"),
            },
        )
        kept = Kept(workspace, directory)
        self._kept[workspace.uid, wanted.name] = kept
        try:
            await self._launch(workspace, wanted, directory)
        except BaseException:
            await self.forget(kept)
            raise
        return kept

    async def forget(self, kept: Kept) -> None:
        """End a run at once, if it has not, and remove it."""
        await kept.stop(0)
        kept.forget()
        self._kept.pop((kept.workspace.uid, kept.name), None)

    async def _launch(self, workspace: Workspace, wanted: Wanted, directory: Path) -> None:
        specification = json.dumps(self._specification(workspace, wanted, directory)).encode()
        keeper = await self._ahead.take()
        handing_over = asyncio.create_task(keeper.communicate(specification))
        try:
            async with asyncio.timeout(STARTED_WITHIN_S):
                while not (directory / files.STATE).exists():
                    if handing_over.done():
                        raise IsolationError(
                            f"{wanted.name} could not be kept: {keeping.last_words(directory)}"
                        )
                    await asyncio.sleep(0.002)
        except TimeoutError:
            keeper.kill()
            raise IsolationError(
                f"{wanted.name} could not be kept: its keeper did not start in time."
            ) from None
        self._handing_over.add(handing_over)
        handing_over.add_done_callback(self._handing_over.discard)

    def _specification(self, workspace: Workspace, wanted: Wanted, directory: Path) -> dict[str, Any]:
        members = workspace.group(wanted.name)
        members.make(wanted.limits)
        watchers = workspace.group(f"keeper-{wanted.name}")
        watchers.make(None)
        owner = workspace.accounts[SHELL]
        as_root = os.geteuid() == 0
        checks = None
        if wanted.health or wanted.smoke or wanted.restarts:
            checks = {
                "enter": self._enter(workspace, wanted, (), members.entrances()) | {"own_program": CHECKER},
                "health": wanted.health.model_dump(mode="json") if wanted.health else None,
                "smoke": wanted.smoke.model_dump(mode="json") if wanted.smoke else None,
            }
        return {
            "directory": str(directory),
            "groups": watchers.entrances(),
            "enter": self._enter(workspace, wanted, wanted.command, members.entrances())
            | {"own_program": wanted.own_program or None},
            "end": str(members.unified / "cgroup.kill") if isinstance(members, Group) else None,
            "masks": [base64.b64encode(value).decode() for value in wanted.masks],
            "log": {
                "path": str(workspace.directory / "logs" / wanted.log),
                "uid": owner.uid if as_root else None,
                "gid": owner.gid if as_root else None,
            }
            if wanted.log
            else None,
            "limit": wanted.limit_bytes,
            "restart": {"most": MOST_CRASHES, "calm_s": CALM_S} if wanted.restarts else None,
            "timeout_s": wanted.timeout_s,
            "stop_signal": wanted.stop_signal,
            "grace_s": wanted.grace_s,
            "checks": checks,
            "notify": str(self._socket_path),
        }

    @staticmethod
    def _enter(
        workspace: Workspace, wanted: Wanted, argv: Sequence[str], entrances: list[str]
    ) -> dict[str, Any]:
        specification = workspace.specification(
            argv,
            env=wanted.environment,
            account=wanted.account,
            directory=wanted.directory,
            descriptors=(),
            terminal=False,
            sudoers=None,
            network="namespace",
            umask=0o007,
            own_program="",
            entrances=entrances,
            data=wanted.data,
        )
        return {**specification, "dies_with_parent": True}
