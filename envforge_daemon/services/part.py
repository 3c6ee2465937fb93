"""Services and commands as a part of the program."""

import asyncio
import contextlib
from collections.abc import Iterable

from envforge_daemon.errors import DaemonError
from envforge_daemon.ingress import Route
from envforge_daemon.isolation import Workspace
from envforge_daemon.parts import Context, Doing, Part, Task
from envforge_daemon.resources.running import Resources
from envforge_daemon.services.keepers import Keepers, Kept
from envforge_daemon.services.parameters import asker
from envforge_daemon.services.runs import Runs
from envforge_daemon.services.runtimes import PREFIX, Runtimes
from envforge_protocol.host import workspaces as wire
from envforge_protocol.host.commands import (
    CommandRan,
    Done,
    EndRun,
    RunCommand,
    RuntimeStarted,
    StartRuntime,
    StopRuntime,
)
from envforge_protocol.host.reports import ServiceEnded, ServiceState
from envforge_protocol.host.resources import ResourceState
from envforge_protocol.host.runtimes import Activity, ServicePort

LOOK_EVERY_S = 5.0


class Services(Part):
    """Does `start_runtime`, `stop_runtime` and `run_command`, and tells of services that end by themselves."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        ask = asker(context.client, context.config)
        self._keepers = Keepers(context.config.run_dir)
        self._resources = Resources(context.config, context.workspaces, self._keepers)
        self._runtimes = Runtimes(
            context.config, context.workspaces, self._keepers, self._resources, context.ingress, ask
        )
        self._runs = Runs(context.workspaces, self._keepers, self._resources, ask, self._upload)
        # How often each service had ended by itself when that was last told.
        self._told: dict[tuple[int, str], tuple[int, bool]] = {}

    def commands(self) -> Iterable[Doing]:
        return (
            Doing(StartRuntime, self._start, lane="runtime"),
            Doing(StopRuntime, self._stop, lane="runtime", interrupts=("start_runtime",)),
            Doing(RunCommand, self._run),
            Doing(EndRun, self._end_run),
        )

    async def adopt(self) -> None:
        """Listen to keepers, and take over those that an earlier run of the program started."""
        self._keepers.listen()
        for kept in await self._keepers.adopt_all(self._ensure):
            self._told[kept.workspace.uid, kept.name] = _count(kept)
        for workspace in self.context.workspaces:
            await self.context.ingress.set(workspace, self._routes(workspace))

    async def run(self) -> None:
        """Tell of every service that ended without being asked to; meanwhile a keeper is made ahead."""
        await asyncio.gather(self._keepers.keep_ahead(), self._tell())

    async def _tell(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._keepers.changed.wait()
            self._keepers.changed.clear()
            for workspace in self.context.workspaces:
                for kept in self._keepers.of(workspace, PREFIX):
                    await self._tell_of(workspace, kept)

    def services(self) -> Iterable[ServiceState]:
        return self._runtimes.states()

    def resources(self) -> Iterable[ResourceState]:
        return self._resources.states()

    def activity(self) -> Iterable[Activity]:
        for workspace in self.context.workspaces:
            running = self._runs.running(workspace)
            if running:
                yield Activity(workspace_id=workspace.id, running_commands=running)

    async def close(self) -> None:
        self._keepers.close()

    async def _start(self, task: Task, asked: StartRuntime) -> RuntimeStarted:
        return await self._runtimes.start(asked, task.progress)

    async def _stop(self, task: Task, asked: StopRuntime) -> Done:
        task.progress("stopping")
        ended = await self._runtimes.stop(asked)
        known = self.context.workspaces.get(asked.workspace.id)
        # What ran beside the services was of this wake, too.
        return Done(kind="stop_runtime", ended=ended + (await self._runs.stop(known) if known else 0))

    async def _run(self, task: Task, asked: RunCommand) -> CommandRan:
        return await self._runs.run(task.id, asked, task.progress)

    async def _end_run(self, task: Task, asked: EndRun) -> Done:
        return Done(kind="end_run", ended=await self._runs.end(asked))

    async def _upload(self, command_id: object, offset: int, piece: bytes) -> None:
        await self.context.control_plane.ask_until_answered(
            "POST", f"runs/{command_id}/output?offset={offset}", body=piece
        )

    async def _ensure(self, remembered: dict[str, object]) -> Workspace | None:
        try:
            return await self.context.workspaces.ensure(wire.Workspace.model_validate(remembered))
        except DaemonError:
            # Its walls do not stand now: what runs is left alone, and found again with the next command.
            return None

    def _routes(self, workspace: Workspace) -> list[Route]:
        return [
            Route(ingress=port.ingress, port=port.port, account=int(kept.about["account"]))
            for kept in self._keepers.of(workspace, PREFIX)
            for port in map(ServicePort.model_validate, kept.about.get("ports", ()))
            if port.ingress is not None
        ]

    async def _tell_of(self, workspace: Workspace, kept: Kept) -> None:
        key = (workspace.uid, kept.name)
        state, about, now = kept.state(), kept.about, _count(kept)
        before, self._told[key] = self._told.get(key, (0, False)), now
        if now == before or now == (0, False) or not about:
            return
        await self.context.outbox.add(
            ServiceEnded(
                workspace_id=workspace.id,
                epoch=about["epoch"],
                service=about["service"],
                exit_status=state.exit_status if state.exit_status is not None else 137,
                restarts=state.restarts,
                gave_up=state.ended,
            )
        )


def _count(kept: Kept) -> tuple[int, bool]:
    """How often it ended by itself, and whether it is left alone now; one that was stopped has not given up."""
    state = kept.state()
    return state.restarts, state.ended and state.health != "stopped"
