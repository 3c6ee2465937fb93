"""Commands that run once beside the services, with a service's environment, and leave a receipt (W9)."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

from envforge_daemon.errors import CommandFailed, IsolationError, Unreachable
from envforge_daemon.isolation import Workspace, Workspaces
from envforge_daemon.resources.running import Resources
from envforge_daemon.services.keepers import Keepers, Kept, State, Wanted
from envforge_daemon.services.values import Ask, Unresolved, environment, resolve
from envforge_protocol.host.commands import CommandRan, EndRun, RunCommand

PREFIX = "run-"
PIECE = 65536
LOOK_EVERY_S = 0.25
COULD_NOT_START = 127

# Hands on masked output: the command's id, where the piece begins, the piece. Again is harmless.
Upload = Callable[[UUID, int, bytes], Awaitable[None]]
Say = Callable[[str], None]


class Runs:
    """The commands that run on this VM."""

    def __init__(
        self, workspaces: Workspaces, keepers: Keepers, resources: Resources, ask: Ask, upload: Upload
    ) -> None:
        self._workspaces = workspaces
        self._keepers = keepers
        self._resources = resources
        self._ask = ask
        self._upload = upload

    def running(self, workspace: Workspace) -> int:
        """How many commands run in a workspace now; each of them is activity (W7)."""
        return sum(not kept.state().ended for kept in self._keepers.of(workspace, PREFIX))

    async def run(self, command_id: UUID, asked: RunCommand, say: Say) -> CommandRan:
        """Run it to its end, or go on with the run that an earlier life of the daemon began.

        Raises:
            CommandFailed: it could not be run at all.
        """
        try:
            workspace = await self._workspaces.ensure(asked.workspace)
            await self._keepers.adopt(workspace)
            name = f"{PREFIX}{command_id.hex}"
            kept = self._keepers.get(workspace, name) or await self._start(workspace, name, asked)
        except IsolationError as error:
            raise CommandFailed("walls", str(error), again=True) from error
        except Unresolved as error:
            raise CommandFailed("inputs", str(error)) from error
        except Unreachable as error:
            raise CommandFailed("inputs", str(error), again=True) from error
        say("running")
        try:
            state = await self._follow(command_id, kept)
        finally:
            if kept.state().ended:
                await self._keepers.forget(kept)
        return _receipt(asked, state)

    async def stop(self, workspace: Workspace) -> int:
        """End every command of a workspace; how many there were."""
        kept = [one for one in self._keepers.of(workspace, PREFIX) if not one.state().ended]
        await asyncio.gather(*(one.stop(5.0) for one in kept))
        return len(kept)

    async def end(self, asked: EndRun) -> int:
        """End one command, if it runs; how many that was. Whoever waits for it answers for it."""
        workspace = await self._workspaces.ensure(asked.workspace)
        await self._keepers.adopt(workspace)
        kept = self._keepers.get(workspace, f"{PREFIX}{asked.command_id.hex}")
        if kept is None or kept.state().ended:
            return 0
        await kept.stop(5.0)
        return 1

    async def _start(self, workspace: Workspace, name: str, asked: RunCommand) -> Kept:
        offered = await self._resources.offered(workspace, asked.resources)
        values = await resolve(asked.references, asked.credentials, self._ask)
        return await self._keepers.start(
            workspace,
            Wanted(
                name=name,
                command=asked.command,
                account=asked.account,
                directory=asked.directory,
                environment=workspace.environment(asked.account)
                | environment(asked.environment, values | offered.values),
                masks=(*(value.encode() for value in values.values()), *offered.masks),
                limits=asked.limits,
                about={"service": asked.service},
                limit_bytes=asked.output_limit_bytes,
                timeout_s=asked.timeout_s,
                grace_s=5.0,
            ),
        )

    async def _follow(self, command_id: UUID, kept: Kept) -> State:
        """Hand the output on while it grows, and wait for the end."""
        sent = 0
        while True:
            state = kept.state()
            for piece in _pieces(kept.output, sent):
                await self._upload(command_id, sent, piece)
                sent += len(piece)
            if state.ended:
                return state
            await kept.next(LOOK_EVERY_S)


def _pieces(path: Path, start: int) -> list[bytes]:
    pieces = []
    with path.open("rb") as file:
        file.seek(start)
        while piece := file.read(PIECE):
            pieces.append(piece)
    return pieces


def _receipt(asked: RunCommand, state: State) -> CommandRan:
    never = state.began_at is None
    until = state.ended_at or time.time()
    return CommandRan(
        exit_status=None if never else state.exit_status,
        duration_ms=0 if never else max(0, round((until - (state.began_at or until)) * 1000)),
        output_bytes=state.output_bytes,
        truncated=state.truncated,
        timed_out=state.timed_out,
        consumed=asked.references,
    )
