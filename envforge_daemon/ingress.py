"""The way from the gateways to a workspace's services: one port of the VM per service port (THREATS H3).

A workspace binds its ports on the loopback of its own namespace, so two may bind the same one. Each has a carrier
(`isolation.carrier`), a process that outlives this program; it is found again by its control socket, and replaced within a
second when it ended.
"""

import asyncio
import contextlib
import json
import logging
import os
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from envforge_daemon.config import Config
from envforge_daemon.errors import IsolationError
from envforge_daemon.isolation import SHELL, Wall, Workspace, Workspaces
from envforge_daemon.isolation.accounts import CARRIER_UID
from envforge_daemon.isolation.carrier import VERSION
from envforge_daemon.isolation.processes import start
from envforge_daemon.locks import Locks
from envforge_protocol.host import workspaces as wire
from envforge_protocol.host.runtimes import Limits

log = logging.getLogger("envforge_daemon")

GROUP = "carrier"
CARRIER_LIMITS = Limits(memory_mib=512, cpu_millis=2000, processes=16)
BACKLOG = 512
ANSWERS_WITHIN_S = 10.0
LOOKED_AFTER_EVERY_S = 0.5
# What says that no carrier is there, or one that answers nobody any more.
GONE = (FileNotFoundError, ConnectionError, TimeoutError)
# A carrier whose workspace sleeps stays for this: many wake again soon, and nothing of a wake would take longer than its start.
RESTS_S = 600.0


@dataclass(frozen=True)
class Route:
    """`ingress` is the VM's port; `port` the one the service binds; `account` the service's, within the workspace."""

    ingress: int
    port: int
    account: int


class Ingress:
    """All ways in of this VM."""

    def __init__(self, config: Config, workspaces: Workspaces) -> None:
        self._config = config
        self._workspaces = workspaces
        self._directory = config.run_dir / "ingress"
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._wanted: dict[UUID, tuple[Workspace, tuple[Route, ...]]] = {}
        self._resting: dict[UUID, tuple[wire.Workspace, float]] = {}
        self._locks = Locks()

    async def set(self, workspace: Workspace, routes: Iterable[Route]) -> None:
        """These are the workspace's ways in, and no others; those that stay keep their connections.

        Raises:
            IsolationError: a port lies outside of the VM's range, or somebody else has it.
        """
        wanted = tuple(routes)
        for route in wanted:
            if route.ingress not in self._config.ports:
                raise IsolationError(f"Port {route.ingress} is none of this VM's ingress ports.")
        self._wanted[workspace.id] = (workspace, wanted)
        self._resting.pop(workspace.id, None)
        await self._put_right(workspace, wanted)

    async def rest(self, workspace: wire.Workspace) -> int:
        """Close all ways into a workspace that sleeps; as `close`, but the carrier stays for a while, leading nowhere."""
        self._wanted.pop(workspace.id, None)
        self._resting[workspace.id] = (workspace, time.monotonic() + RESTS_S)
        try:
            async with self._locks.held(workspace.uid):
                state = await self._ask(workspace.uid, {"do": "state"})
                closed = [
                    await self._ask(workspace.uid, {"do": "close", "ingress": ingress})
                    for ingress, _, _ in state["routes"]
                ]
                return sum(int(one["cut"]) for one in closed)
        except (OSError, IsolationError):
            # None is there, or it does not do as it is told.
            return await self.close(workspace)

    async def close(self, workspace: wire.Workspace) -> int:
        """Close all ways into a workspace, carrier included; how many connections that cut. Works after a restart, too."""
        self._wanted.pop(workspace.id, None)
        self._resting.pop(workspace.id, None)
        async with self._locks.held(workspace.uid):
            return await self._end(workspace)

    async def _end(self, workspace: wire.Workspace) -> int:
        cut = 0
        with contextlib.suppress(OSError, IsolationError):
            state = await self._ask(workspace.uid, {"do": "state"})
            cut = int(state["connections"])
            await self._ask(workspace.uid, {"do": "end"})
        # One that does not answer goes on listening, and nobody would find it again.
        await Workspace(self._config, self._workspaces.walls, workspace).kill_all(GROUP)
        self._socket(workspace.uid).unlink(missing_ok=True)
        return cut

    async def _end_rested(self) -> None:
        for workspace_id, (workspace, until) in list(self._resting.items()):
            if time.monotonic() < until:
                continue
            async with self._locks.held(workspace.uid):
                # Whoever wakes meanwhile has taken it from the list, or waits for the lock and starts another.
                if self._resting.pop(workspace_id, None) is not None:
                    await self._end(workspace)

    async def connect(self, workspace: Workspace, port: int, *, account: int | None = None) -> socket.socket:
        """A connection to a loopback port inside the namespace, for health checks and SSH forwarding (THREATS H1).

        It is opened there, by an account with no rights of its own. With `account`, only if that account listens.

        Raises:
            OSError: nobody listens there (ConnectionRefusedError), or somebody else (PermissionError).
        """
        async with self._locks.held(workspace.uid):
            await self._carrier(workspace)
        asked = {"do": "dial", "port": port, "uid": None if account is None else _uid(workspace, account)}
        answer = await self._ask(workspace.uid, asked)
        if "errno" in answer:
            raise OSError(answer["errno"], os.strerror(answer["errno"]))
        connected: socket.socket = answer["socket"]
        connected.setblocking(False)
        return connected

    async def look_after(self) -> None:
        """Put up again whatever carrier ended; for as long as the program runs."""
        while True:
            await asyncio.sleep(LOOKED_AFTER_EVERY_S)
            try:
                await self._end_rested()
            except (OSError, IsolationError) as error:
                log.error("a carrier that rests did not end: %s", error)  # noqa: TRY400 - its sentence says it all
            for workspace, routes in list(self._wanted.values()):
                if not routes:
                    continue
                try:
                    await self._put_right(workspace, routes)
                except (OSError, IsolationError) as error:
                    log.error(  # noqa: TRY400 - its sentence says it all
                        "the way into a workspace could not be put up: %s", error
                    )

    def _socket(self, uid: int) -> Path:
        return self._directory / f"{uid}.sock"

    async def _put_right(self, workspace: Workspace, routes: tuple[Route, ...]) -> None:
        async with self._locks.held(workspace.uid):
            state = await self._carrier(workspace)
            there = {tuple(route) for route in state["routes"]}
            wanted = {(route.ingress, route.port, _uid(workspace, route.account)) for route in routes}
            for ingress, _, _ in there - wanted:
                await self._ask(workspace.uid, {"do": "close", "ingress": ingress})
            for ingress, port, uid in wanted - there:
                with self._listening(ingress) as listening:
                    await self._ask(
                        workspace.uid,
                        {
                            "do": "open",
                            "ingress": ingress,
                            "port": port,
                            "uid": uid,
                            "from": [str(network) for network in self._config.gateway_addresses],
                        },
                        descriptor=listening.fileno(),
                    )

    def _listening(self, ingress: int) -> socket.socket:
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((str(self._config.listen_address), ingress))
            listening.listen(BACKLOG)
        except OSError as error:
            listening.close()
            raise IsolationError(f"Port {ingress} of the VM cannot be opened: {error.strerror}.") from None
        return listening

    async def _carrier(self, workspace: Workspace) -> dict[str, Any]:
        """The state of a workspace's carrier; starts one where none answers, or one of another version does."""
        try:
            state = await self._ask(workspace.uid, {"do": "state"})
            if state["version"] == VERSION:
                return state
        except GONE:
            # Any other error (no descriptor free, a full backlog) says nothing of it, and its connections live.
            pass
        await workspace.kill_all(GROUP)
        path = self._socket(workspace.uid)
        path.unlink(missing_ok=True)
        members = workspace.group(GROUP)
        members.make(CARRIER_LIMITS)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
            control.bind(str(path))
            path.chmod(0o600)
            control.listen(16)
            specification = workspace.specification(
                (str(control.fileno()),),
                env={},
                account=SHELL,
                directory="/",
                descriptors=(control.fileno(),),
                terminal=False,
                sudoers=None,
                network="namespace",
                umask=0o077,
                own_program="carrier.py",
                entrances=members.entrances(),
            )
            if Wall.ACCOUNTS in workspace.walls:
                specification |= {
                    "account": {"uid": CARRIER_UID, "gid": CARRIER_UID, "groups": []},
                    "view": None,
                }
            started = await start(specification, stdin=None, stdout=None, stderr=None)
        added = getattr(members, "added", None)
        if added is not None:
            added(started.process.pid, started.process.started)
        return await self._ask(workspace.uid, {"do": "state"})

    async def _ask(self, uid: int, asked: dict[str, Any], *, descriptor: int | None = None) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.setblocking(False)
            # Connecting to a listening socket of this kind succeeds or fails at once.
            client.connect(str(self._socket(uid)))
            socket.send_fds(client, [json.dumps(asked).encode()], [] if descriptor is None else [descriptor])
            answered = asyncio.Event()
            loop.add_reader(client, answered.set)
            try:
                async with asyncio.timeout(ANSWERS_WITHIN_S):
                    await answered.wait()
            finally:
                loop.remove_reader(client)
            data, handed, _, _ = socket.recv_fds(client, 65536, 1)
        if not data:
            raise ConnectionResetError("The carrier ended.")
        answer: dict[str, Any] = json.loads(data)
        for number in handed:
            answer["socket"] = socket.socket(fileno=number)
        return answer


def _uid(workspace: Workspace, account: int) -> int | None:
    return workspace.accounts[account].uid if Wall.ACCOUNTS in workspace.walls else None
