"""The commands of shells, and what goes on with them by itself."""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import replace
from uuid import UUID

from envforge_daemon.errors import CommandFailed, IsolationError
from envforge_daemon.isolation import Workspace
from envforge_daemon.parts import Context, Doing, Part, Task
from envforge_daemon.services.parameters import asker
from envforge_daemon.shell.certificates import Admission, is_authority
from envforge_daemon.shell.checkout import check_out
from envforge_daemon.shell.known import Door, Known
from envforge_daemon.shell.root import Windows
from envforge_daemon.shell.server import Server
from envforge_daemon.shell.sessions import SESSION, TMUX_GROUP
from envforge_daemon.shell.watch import Watch
from envforge_daemon.trees import observe_all
from envforge_protocol.host import workspaces as wire
from envforge_protocol.host.commands import (
    AuthorizeShell,
    ContractRead,
    Done,
    DropRoot,
    EndShell,
    GrantRoot,
    PrepareShell,
    ReadContract,
    ShellPrepared,
)
from envforge_protocol.host.runtimes import Activity

log = logging.getLogger("envforge_daemon")


class Shells(Part):
    """Prepares shells, lets people in, and ends what is to end."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.known = Known(context.state.documents("shells"))
        self.windows = Windows(context, context.state.documents("root"))
        self.server = Server(context, self.known, self.windows, context.state.documents("connections"))
        self.watch = Watch(context, self.server)
        self._ask = asker(context.client, context.config)
        context.workspaces.leaving.append(self._leave)

    def commands(self) -> Iterable[Doing]:
        return (
            Doing(PrepareShell, self._prepare, lane="work"),
            Doing(ReadContract, self._read, lane="work"),
            Doing(AuthorizeShell, self._authorize, lane="access"),
            Doing(EndShell, self._end, lane="access"),
            Doing(GrantRoot, self._grant, lane="access"),
            Doing(DropRoot, self._drop, lane="access"),
        )

    async def adopt(self) -> None:
        """Workspaces' shells are opened again; whoever was connected is told as gone, windows go on or end."""
        await self.server.tell_restarted()
        for door in self.known:
            try:
                workspace = await self.context.workspaces.ensure(door.workspace)
                self.watch.begin(workspace.id)
                for group in workspace.groups(f"{SESSION}-*"):
                    if group != TMUX_GROUP:
                        await workspace.kill_all(group)
            except IsolationError as error:
                log.error("a workspace's shell is not opened: %s", error)  # noqa: TRY400 - its sentence says it all
        await self.windows.tick()
        if any(self.known):
            try:
                await self.server.begin()
            except IsolationError as error:
                log.error("%s", error)  # noqa: TRY400 - its sentence says it all

    async def run(self) -> None:
        await asyncio.gather(self.windows.keep(), self.watch.keep())

    def activity(self) -> Iterable[Activity]:
        for door in self.known:
            shells = self.server.connected(door.workspace.id)
            declared = self.watch.declared(door.workspace.id)
            if shells or declared:
                yield Activity(workspace_id=door.workspace.id, shells=shells, declared=declared)

    async def close(self) -> None:
        await self.server.close()

    async def _prepare(self, task: Task, asked: PrepareShell) -> ShellPrepared:
        _require_authority(asked.certificate_authority)
        task.progress("making_accounts")
        workspace = await self.context.workspaces.ensure(asked.workspace)
        self.watch.begin(workspace.id)
        before = self.known.get(asked.workspace.id)
        revoked = before.revoked if before else frozenset()
        await self._open(Door(asked.workspace, asked.certificate_authority, asked.shell_limits, revoked))
        await self.server.begin()
        checkouts = []
        for repository in asked.repositories:
            task.progress("checking_out")
            checkouts.append(await check_out(workspace, repository, self._ask))
        self.watch.told(workspace.id, checkouts)
        return ShellPrepared(
            ssh_port=self.server.port, host_key=self.server.host_key, checkouts=tuple(checkouts)
        )

    async def _read(self, task: Task, asked: ReadContract) -> ContractRead:
        workspace = await self.context.workspaces.ensure(asked.workspace)
        checkouts = await observe_all(workspace, asked.directories)
        self.watch.told(workspace.id, checkouts)
        return ContractRead(checkouts=checkouts)

    async def _authorize(self, task: Task, asked: AuthorizeShell) -> Done:
        _require_authority(asked.certificate_authority)
        await self.context.workspaces.ensure(asked.workspace)
        before = self.known.get(asked.workspace.id)
        # Certificates are good for a day at most, and there are few: a serial once revoked stays so.
        revoked = (before.revoked if before else frozenset()) | frozenset(asked.revoked_serials)
        limits = before.limits if before else None
        ended = await self._open(Door(asked.workspace, asked.certificate_authority, limits, revoked))
        await self.server.begin()
        return Done(kind="authorize_shell", ended=ended)

    async def _open(self, door: Door) -> int:
        """Put a door in place, and end connections that it would not let in any more; how many."""
        await self.known.set(door)

        def lost(admitted: Admission) -> bool:
            return admitted.door.workspace.id == door.workspace.id and (
                admitted.serial in door.revoked
                or admitted.door.authority.split()[:2] != door.authority.split()[:2]
            )

        return await self.server.end(lost)

    async def _end(self, task: Task, asked: EndShell) -> Done:
        door = self.known.get(asked.workspace_id)
        if door is not None and asked.serials:
            # Ended for good: the client would come again with the same certificate at once.
            await self.known.set(replace(door, revoked=door.revoked | frozenset(asked.serials)))
        ended = await self.server.end(lambda admitted: _is_meant(asked, admitted))
        return Done(kind="end_shell", ended=ended)

    async def _grant(self, task: Task, asked: GrantRoot) -> Done:
        workspace = await self.context.workspaces.ensure(asked.workspace)
        await self.windows.grant(asked, workspace, alone=self._is_alone(workspace))
        return Done(kind="grant_root")

    async def _drop(self, task: Task, asked: DropRoot) -> Done:
        return Done(kind="drop_root", ended=await self.windows.drop(asked.workspace.id, asked.request_id))

    def _is_alone(self, workspace: Workspace) -> bool:
        others: set[UUID] = {other.id for other in self.context.workspaces} | {
            door.workspace.id for door in self.known
        }
        return others <= {workspace.id}

    async def _leave(self, workspace: wire.Workspace) -> None:
        """The workspace is taken off this VM."""
        self.known.forget(workspace.id)
        self.watch.forget(workspace.id)
        await self.windows.drop(workspace.id)
        await self.server.end(lambda admitted: admitted.door.workspace.id == workspace.id)


def _is_meant(asked: EndShell, admitted: Admission) -> bool:
    if admitted.door.workspace.id != asked.workspace_id:
        return False
    return (
        asked.everybody
        or admitted.serial in asked.serials
        or (asked.person_id is not None and admitted.is_of(asked.person_id))
    )


def _require_authority(line: str) -> None:
    if not is_authority(line):
        raise CommandFailed("bad_authority", "The organization's certificate authority is no SSH public key.")
