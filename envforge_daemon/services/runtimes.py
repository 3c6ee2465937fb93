"""Runtimes: the services of one wake, brought up together and told of (DESIGN 7.3, 7.4; W10)."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from envforge_daemon import trees
from envforge_daemon.config import Config
from envforge_daemon.errors import CommandFailed, IsolationError, Unreachable
from envforge_daemon.ingress import Ingress, Route
from envforge_daemon.isolation import Workspace, Workspaces
from envforge_daemon.resources.running import Offered, Resources, Started
from envforge_daemon.services.keepers import Keepers, Kept, State, Wanted
from envforge_daemon.services.setup import Receipts, run_setup
from envforge_daemon.services.starting import check_of, port_taken
from envforge_daemon.services.values import Ask, Unresolved, environment, resolve
from envforge_protocol.host.commands import RuntimeStarted, StartRuntime, StopRuntime
from envforge_protocol.host.reports import ServiceState
from envforge_protocol.host.runtimes import (
    Blocker,
    Health,
    Manifest,
    Readiness,
    Reference,
    Service,
    ServiceReadiness,
    StepRan,
)
from envforge_protocol.host.workspaces import Checkout

PREFIX = "service-"
# A job that fails within this keeps its wake from being ready; later it is told as a service that ended.
JOB_BEGINS_WITHIN_S = 1.0
Say = Callable[[str], None]


class Runtimes:
    """The runtimes of this VM."""

    def __init__(
        self,
        config: Config,
        workspaces: Workspaces,
        keepers: Keepers,
        resources: Resources,
        ingress: Ingress,
        ask: Ask,
    ) -> None:
        self._config = config
        self._resources = resources
        self._workspaces = workspaces
        self._keepers = keepers
        self._ingress = ingress
        self._ask = ask

    async def start(self, asked: StartRuntime, say: Say) -> RuntimeStarted:
        """Bring every resource and service of the manifest up, side by side; a service waits for what it uses. Doing it
        again finds what is up already. Where a working tree's contract is another than the manifest says, nothing is started, and
        that is the outcome (W2).

        Raises:
            CommandFailed: the workspace's walls do not stand, so nothing was started.
        """
        began = time.monotonic()
        try:
            workspace = await self._workspaces.ensure(asked.workspace)
        except IsolationError as error:
            raise CommandFailed("walls", str(error), again=True) from error
        looking = asyncio.create_task(trees.changed(workspace, asked.manifest.trees))
        moving = asyncio.create_task(workspace.expect_starts())
        # Nobody is led there before all of it is up, so the ways in are put up meanwhile.
        leading = asyncio.create_task(self._ingress.set(workspace, _routes(asked.manifest)))
        try:
            await self._keepers.adopt(workspace)
            await self._stop_others(workspace, asked.manifest)
            try:
                changed = await looking
            except IsolationError as error:
                raise CommandFailed("walls", str(error), again=True) from error
            if changed:
                leading.cancel()
                await asyncio.gather(leading, return_exceptions=True)
                return await self._void(workspace, asked, changed)
            return await self._bring_up(workspace, asked.manifest, leading, began, say)
        finally:
            looking.cancel()
            leading.cancel()
            await asyncio.gather(looking, leading, moving, return_exceptions=True)

    async def _void(
        self, workspace: Workspace, asked: StartRuntime, changed: tuple[Checkout, ...]
    ) -> RuntimeStarted:
        """Leave nothing of the wake running: an earlier delivery of the same command may have begun, before the tree changed."""
        kept = [*self._keepers.of(workspace, PREFIX), *self._keepers.of(workspace, "setup-")]
        for one in kept:
            await one.stop(10.0)
            await self._keepers.forget(one)
        await self._ingress.rest(asked.workspace)
        return RuntimeStarted(
            readiness=Readiness(epoch=asked.manifest.epoch, services=(), ready_ms=None), changed=changed
        )

    async def _bring_up(
        self, workspace: Workspace, manifest: Manifest, leading: "asyncio.Task[None]", began: float, say: Say
    ) -> RuntimeStarted:
        try:
            resources = await self._resources.start(workspace, manifest.resources, manifest.epoch, say)
        except IsolationError as error:
            raise CommandFailed("walls", str(error), again=True) from error
        failed = asyncio.Event()

        async def bring_up(service: Service) -> tuple[ServiceReadiness, Blocker | None]:
            result = await self._start_one(workspace, manifest, service, resources, say, failed)
            if result[1]:
                failed.set()
            return result

        try:
            results = await asyncio.gather(*(bring_up(service) for service in manifest.services))
            came_up = {name: await task for name, task in resources.items()}
        finally:
            for task in resources.values():
                task.cancel()
            # Whoever stops the runtime next finds nothing that still begins.
            await asyncio.gather(*resources.values(), return_exceptions=True)
        await leading
        blockers = tuple(blocker for _, blocker in results if blocker) + _unused(manifest, came_up)
        ready_ms = None if blockers else round((time.monotonic() - began) * 1000)
        services = tuple(readiness for readiness, _ in results)
        for service in manifest.services:
            Receipts(workspace, service.name, manifest.epoch).told()
        return RuntimeStarted(
            readiness=Readiness(
                epoch=manifest.epoch,
                services=services,
                resources=tuple(one.readiness for one in came_up.values()),
                blockers=blockers,
                ready_ms=ready_ms,
            )
        )

    async def stop(self, asked: StopRuntime) -> int:
        """Stop every service, then every resource, and lead no traffic there; how many services ended."""
        workspace = await self._workspaces.ensure(asked.workspace)
        await self._ingress.rest(asked.workspace)
        await self._keepers.adopt(workspace)
        kept = [*self._keepers.of(workspace, PREFIX), *self._keepers.of(workspace, "setup-")]
        await asyncio.gather(*(one.stop(asked.grace_s) for one in kept))
        for one in kept:
            await self._keepers.forget(one)
        Receipts.forget(workspace)
        await self._resources.stop(workspace)
        return len(kept)

    def states(self) -> list[ServiceState]:
        """Every service, now, for the heartbeat."""
        found = []
        for workspace in self._workspaces:
            for kept in self._keepers.of(workspace, PREFIX):
                about, state = kept.about, kept.state()
                if not about:
                    continue
                found.append(
                    ServiceState(
                        workspace_id=workspace.id,
                        epoch=about["epoch"],
                        name=about["service"],
                        health=_health(state, once=bool(about.get("once"))),
                        since=datetime.fromtimestamp(state.changed_at, UTC),
                        restarts=state.restarts,
                    )
                )
        return found

    async def _stop_others(self, workspace: Workspace, manifest: Manifest) -> None:
        """End what is of another wake or no longer wanted, and what gave up."""
        wanted = {f"{PREFIX}{service.name}" for service in manifest.services}
        for kept in self._keepers.of(workspace, PREFIX):
            if (
                kept.about.get("epoch") != manifest.epoch
                or kept.name not in wanted
                or _is_to_begin_anew(kept)
            ):
                await kept.stop(10.0)
                await self._keepers.forget(kept)

    async def _start_one(
        self,
        workspace: Workspace,
        manifest: Manifest,
        service: Service,
        resources: Mapping[str, asyncio.Task[Started]],
        say: Say,
        failed: asyncio.Event,
    ) -> tuple[ServiceReadiness, Blocker | None]:
        began = time.monotonic()
        consumed: tuple[Reference, ...] = ()
        blocker: Blocker | None = None
        receipts = Receipts(workspace, service.name, manifest.epoch)
        ran = receipts.ran
        try:
            for name in service.resources.values():
                problem = (await resources[name]).problem
                if problem:
                    return _not_up(service, ()), Blocker(service=service.name, at="resource", reason=problem)
            kept = self._keepers.get(workspace, f"{PREFIX}{service.name}")
            if kept is None:
                offered = await self._resources.offered(workspace, service.resources)
                values = await resolve(service.references, manifest.credentials, self._ask)
                consumed = service.references
                started = await self._launch(workspace, manifest, service, values, offered, say, receipts)
                if isinstance(started, Blocker):
                    return _not_up(service, consumed, ran), started
                kept = started
            else:
                consumed = service.references
            blocker = await _until_ready(service, kept, say, failed)
            ready = None if blocker else round((time.monotonic() - began) * 1000)
            return _readiness(service, kept.state(), ready, consumed, ran), blocker
        except Unresolved as error:
            blocker = Blocker(service=service.name, at="secrets", reason=str(error))
        except Unreachable as error:
            blocker = Blocker(service=service.name, at="secrets", reason=str(error))
        except IsolationError as error:
            blocker = Blocker(service=service.name, at="host", reason=str(error))
        return _not_up(service, consumed, ran), blocker

    async def _launch(
        self,
        workspace: Workspace,
        manifest: Manifest,
        service: Service,
        values: dict[str, str],
        offered: Offered,
        say: Say,
        receipts: Receipts,
    ) -> Kept | Blocker:
        own = workspace.environment(service.account) | environment(
            service.environment, values | offered.values
        )
        masks = (*(value.encode() for value in values.values()), *offered.masks)
        blocker = await run_setup(
            self._keepers,
            workspace,
            service,
            environment=own,
            masks=masks,
            image=self._config.image,
            say=say,
            receipts=receipts,
        )
        # A step that an earlier run of the program began may be one that is no longer due.
        left = self._keepers.get(workspace, f"setup-{service.name}")
        if left is not None:
            await self._keepers.forget(left)
        blocker = blocker or await port_taken(workspace, service)
        if blocker:
            return blocker
        say("starting")
        return await self._keepers.start(
            workspace,
            Wanted(
                name=f"{PREFIX}{service.name}",
                command=service.command,
                account=service.account,
                directory=service.directory,
                environment=own,
                masks=masks,
                limits=service.limits,
                about={
                    "epoch": manifest.epoch,
                    "service": service.name,
                    "contract_digest": service.contract_digest,
                    "ports": [port.model_dump(mode="json") for port in service.ports],
                    "once": service.once,
                },
                log=f"{service.name}.log",
                restarts=not service.once,
                health=None if service.once else check_of(service),
                smoke=None if service.once else service.smoke,
            ),
        )


def _is_to_begin_anew(kept: Kept) -> bool:
    """Whether it gave up. A job that has ended well is done: asked for again in the same wake, it does not run twice."""
    state = kept.state()
    return state.ended and not (kept.about.get("once") and state.exit_status == 0)


def _routes(manifest: Manifest) -> list[Route]:
    return [
        Route(ingress=port.ingress, port=port.port, account=service.account)
        for service in manifest.services
        for port in service.ports
        if port.ingress is not None
    ]


def _unused(manifest: Manifest, resources: Mapping[str, Started]) -> tuple[Blocker, ...]:
    """What did not come up and stopped no service."""
    used = {name for service in manifest.services for name in service.resources.values()}
    return tuple(
        Blocker(service=name, at="resource", reason=one.problem)
        for name, one in resources.items()
        if one.problem and name not in used
    )


async def _until_ready(service: Service, kept: Kept, say: Say, failed: asyncio.Event) -> Blocker | None:
    """Wait until the service is healthy and its smoke check passed; or why that will not be.

    Once another one has `failed`, nobody waits for smoke checks: they may wait for just that one.
    """
    if service.once:
        return await _until_begun(service, kept)
    check = check_of(service)
    patience = (
        (check.start_period_s if check else 5.0) + (service.smoke.timeout_s if service.smoke else 0.0) + 1.0
    )
    until = time.monotonic() + patience
    say("waiting_for_health")
    while True:
        state = kept.state()
        smoke_is_over = service.smoke is None or state.smoke is not None or failed.is_set()
        if state.health == "healthy" and smoke_is_over:
            break
        if state.ended or state.restarts >= 2:
            return _ended(service, state)
        left = until - time.monotonic()
        if left <= 0:
            why = f": {state.reason}" if state.reason else ""
            return Blocker(
                service=service.name, at="health", reason=f"It was not healthy within {patience:.0f} s{why}."
            )
        await kept.next(min(left, 1.0))
    if state.smoke and not state.smoke[0]:
        return Blocker(service=service.name, at="smoke", reason=f"The smoke check failed: {state.smoke[1]}.")
    return None


async def _until_begun(service: Service, kept: Kept) -> Blocker | None:
    """A job is there once it runs, or has ended well; one that fails at once keeps the wake from being ready."""
    until = time.monotonic() + JOB_BEGINS_WITHIN_S
    while not (state := kept.state()).ended and (left := until - time.monotonic()) > 0:
        await kept.next(left)
    return _ended(service, state) if state.ended and state.exit_status != 0 else None


def _ended(service: Service, state: State) -> Blocker:
    log = f"Its output is in logs/{service.name}.log of the workspace."
    return Blocker(
        service=service.name,
        at="start",
        reason=f"It ended with exit status {state.exit_status}. {log}",
        exit_status=state.exit_status,
    )


def _health(state: State, *, once: bool) -> Health:
    """How it does; a job that runs is well, and one that ended well has stopped."""
    if not once:
        return Health(state.health)
    if not state.ended:
        return Health.HEALTHY
    return Health.CRASHED if state.exit_status else Health.STOPPED


def _readiness(
    service: Service,
    state: State,
    ready_ms: int | None,
    consumed: tuple[Reference, ...],
    ran: Sequence[StepRan],
) -> ServiceReadiness:
    return ServiceReadiness(
        name=service.name,
        contract_digest=service.contract_digest,
        health=_health(state, once=service.once),
        ready_ms=ready_ms,
        ingress={port.name: port.ingress for port in service.ports if port.ingress is not None},
        consumed=consumed,
        setup=tuple(ran),
    )


def _not_up(
    service: Service, consumed: tuple[Reference, ...], ran: Sequence[StepRan] = ()
) -> ServiceReadiness:
    return ServiceReadiness(
        name=service.name,
        contract_digest=service.contract_digest,
        health=Health.STOPPED,
        ready_ms=None,
        consumed=consumed,
        setup=tuple(ran),
    )
