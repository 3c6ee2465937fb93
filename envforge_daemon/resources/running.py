"""The resources of this VM's workspaces: started before services, stopped after them, told of."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from envforge_daemon import volumes
from envforge_daemon.config import Config
from envforge_daemon.errors import IsolationError
from envforge_daemon.isolation import SHELL, Workspace, Workspaces
from envforge_daemon.isolation.accounts import CARRIER_UID
from envforge_daemon.isolation.data import DataPlace
from envforge_daemon.isolation.removal import remove_data
from envforge_daemon.resources.fence import raise_fence
from envforge_daemon.resources.kinds import Kind, Place, Server, Values
from envforge_daemon.resources.mail import Mail
from envforge_daemon.resources.postgres import Postgres
from envforge_daemon.resources.programs import Program, Unavailable
from envforge_daemon.resources.seaweed import Seaweed
from envforge_daemon.resources.valkey import Valkey
from envforge_daemon.services.keepers import Keepers, Kept, Wanted
from envforge_daemon.services.starting import taken
from envforge_daemon.services.values import Unresolved
from envforge_protocol.contract.resources import SECRET_PROPERTIES
from envforge_protocol.host import workspaces as wire
from envforge_protocol.host.limits import Health
from envforge_protocol.host.resources import Resource, ResourceReadiness, ResourceState

PREFIX = "resource-"
KINDS: dict[str, Kind] = {"postgres": Postgres(), "redis": Valkey(), "s3": Seaweed(), "mail": Mail()}
Say = Callable[[str], None]


@dataclass(frozen=True)
class Offered:
    """What resources offer to one service: values by `resources.NAME.PROPERTY`, and those of them to mask."""

    values: dict[str, str]
    masks: tuple[bytes, ...]


@dataclass(frozen=True)
class Started:
    """How one resource came up; `problem` says why it did not."""

    readiness: ResourceReadiness
    problem: str = ""


class Resources:
    """All of them; their data is on the disks of their workspaces."""

    def __init__(self, config: Config, workspaces: Workspaces, keepers: Keepers) -> None:
        self._config = config
        self._workspaces = workspaces
        self._keepers = keepers
        self._remembering = asyncio.Lock()
        workspaces.leaving.append(self._leave)

    async def start(
        self, workspace: Workspace, resources: Sequence[Resource], epoch: int, say: Say
    ) -> dict[str, asyncio.Task[Started]]:
        """Begin to bring all of them up, side by side, and end what is no longer wanted; one task by name.

        Those that run already and are wanted as they are go on; whoever cancels the tasks may start again.
        """
        wanted = {f"{PREFIX}{resource.name}": resource for resource in resources}
        for kept in self._keepers.of(workspace, PREFIX):
            resource = wanted.get(kept.name)
            as_it_is = resource and kept.about.get("resource") == resource.model_dump(mode="json")
            if not as_it_is or kept.state().ended:
                await self._end(kept)
            else:
                kept.remember(epoch=epoch)
        if not resources:
            return {}
        await self._fence(workspace, resources)
        return {
            resource.name: asyncio.create_task(self._start(workspace, resource, epoch, say))
            for resource in resources
        }

    async def stop(self, workspace: Workspace) -> int:
        """End all of a workspace's, each in its own time, and let go of its data; how many there were."""
        kept = self._keepers.of(workspace, PREFIX)
        await asyncio.gather(*(self._end(one) for one in kept))
        await volumes.unmount(self._config, workspace.wire)
        return len(kept)

    async def offered(self, workspace: Workspace, uses: Mapping[str, str]) -> Offered:
        """What a service gets of the resources it uses, by the names of its contract.

        Raises:
            Unresolved: one of them was never started here.
            IsolationError: the workspace's data cannot be reached.
        """
        values: dict[str, str] = {}
        masks: list[bytes] = []
        if not uses:
            return Offered(values, ())
        place = DataPlace(await volumes.mount(self._config, workspace.wire))
        for called, name in uses.items():
            known = place.known(name)
            if known is None or known["type"] not in KINDS:
                raise Unresolved(f"The resource {called} has not been started yet. Wake the runtime first.")
            properties = KINDS[known["type"]].properties(known["secret"], known["port"])
            for word, value in properties.items():
                values[f"resources.{called}.{word}"] = value
                if word in SECRET_PROPERTIES:
                    masks.append(value.encode())
        return Offered(values, tuple(masks))

    def states(self) -> list[ResourceState]:
        """Every resource, now, for the heartbeat."""
        found = []
        for workspace in self._workspaces:
            for kept in self._keepers.of(workspace, PREFIX):
                about, state = kept.about, kept.state()
                if not about:
                    continue
                found.append(
                    ResourceState(
                        workspace_id=workspace.id,
                        epoch=about["epoch"],
                        name=about["resource"]["name"],
                        type=about["resource"]["type"],
                        health=Health(state.health),
                        since=datetime.fromtimestamp(state.changed_at, UTC),
                        restarts=state.restarts,
                    )
                )
        return found

    async def _leave(self, workspace: wire.Workspace) -> None:
        """Servers end cleanly before all that is left of a workspace is killed."""
        known = self._workspaces.get(workspace.id)
        if known is not None:
            await self.stop(known)

    async def _end(self, kept: Kept) -> None:
        await kept.stop(float(kept.about.get("grace_s", 10.0)) + 2.0)
        await self._keepers.forget(kept)

    async def _fence(self, workspace: Workspace, resources: Iterable[Resource]) -> None:
        fenced: list[tuple[int, list[int]]] = []
        for resource in resources:
            own = workspace.account(resource.account).uid
            ports = KINDS[resource.type].private_ports(resource.port)
            fenced += [
                (port, [own, workspace.account(SHELL).uid, CARRIER_UID] if is_console else [own])
                for port, is_console in ports.items()
            ]
        await raise_fence(workspace, fenced)

    async def _start(self, workspace: Workspace, resource: Resource, epoch: int, say: Say) -> Started:
        began = time.monotonic()
        kind = KINDS[resource.type]
        version, data = "", None
        try:
            kept = self._keepers.get(workspace, f"{PREFIX}{resource.name}")
            if kept is None:
                say("starting_resources")
                place, program, secret, data, is_new = await self._place(workspace, resource)
                version = program.version
                await kind.prepare(place, program, secret, is_new=is_new)
                await _port_free(workspace, resource)
                server = kind.server(place, program, secret)
                kept = await self._keep(
                    place,
                    server,
                    kind.properties(secret, resource.port),
                    epoch=epoch,
                    version=version,
                    data=data,
                )
                await _until_ready(resource, kept)
                await kind.finish(place, program, secret)
            else:
                version, data = str(kept.about.get("version", "")), kept.about.get("data")
                await _until_ready(resource, kept)
        except (Unavailable, IsolationError) as error:
            problem = f"The {resource.type} resource {resource.name} is not there. {error}"
            return Started(_readiness(resource, version, Health.STOPPED, None, data), problem)
        ready_ms = round((time.monotonic() - began) * 1000)
        return Started(_readiness(resource, version, Health.HEALTHY, ready_ms, data))

    async def _place(
        self, workspace: Workspace, resource: Resource
    ) -> tuple[Place, Program, Values, int, bool]:
        """Where its data is, with what is known of it: what opens it, its number, and whether it is new."""
        data = DataPlace(await volumes.mount(self._config, workspace.wire))
        kind = KINDS[resource.type]
        known = data.known(resource.name)
        lies = int(known.get("data", 0)) if known is not None else resource.data_seen
        number = max(lies, resource.data)
        if lies < number:
            await remove_data(workspace, data, resource.name)
            known = None
        program = await kind.program(self._config, resource.version, data.directory(resource.name))
        if known is not None and known["type"] != resource.type:
            raise Unavailable(
                f"Its data is that of a {known['type']} resource. Delete that data, or give this one another name."
            )
        secret: Values = known["secret"] if known else kind.secret()
        directory = data.make(resource.name, workspace.account(resource.account))
        if known is None or known["port"] != resource.port:
            async with self._remembering:
                await data.remember(
                    resource.name,
                    {"type": resource.type, "secret": secret, "port": resource.port, "data": number},
                )
        return Place(workspace, resource, directory), program, secret, number, known is None

    async def _keep(
        self, place: Place, server: Server, properties: Values, *, epoch: int, version: str, data: int
    ) -> Kept:
        workspace, resource = place.workspace, place.resource
        hidden = [value for word, value in properties.items() if word in SECRET_PROPERTIES]
        return await self._keepers.start(
            workspace,
            Wanted(
                name=f"{PREFIX}{resource.name}",
                command=server.command,
                own_program=server.own_program,
                account=resource.account,
                directory=str(place.inside),
                data=place.directory,
                environment=workspace.environment(resource.account) | server.environment,
                masks=tuple(value.encode() for value in hidden),
                limits=resource.limits,
                about={
                    "epoch": epoch,
                    "resource": resource.model_dump(mode="json"),
                    "version": version,
                    "data": data,
                    "grace_s": server.grace_s,
                },
                log=f"{PREFIX}{resource.name}.log",
                restarts=True,
                stop_signal=server.stop_signal,
                grace_s=server.grace_s,
                health=server.check,
            ),
        )


async def _port_free(workspace: Workspace, resource: Resource) -> None:
    if await taken(workspace, [resource.port]):
        raise Unavailable(
            f"Port {resource.port} is in use by another program of this workspace. Stop it, and wake the runtime again."
        )


async def _until_ready(resource: Resource, kept: Kept) -> None:
    """Wait until it is healthy.

    Raises:
        Unavailable: that will not be, or not in time.
    """
    until = time.monotonic() + resource.ready_within_s
    log = f"Its output is in logs/{PREFIX}{resource.name}.log of the workspace."
    while True:
        state = kept.state()
        if state.health == "healthy":
            return
        if state.ended or state.restarts >= 2:
            raise Unavailable(f"It ended with exit status {state.exit_status}. {log}")
        left = until - time.monotonic()
        if left <= 0:
            raise Unavailable(f"It was not ready within {resource.ready_within_s:g} s. {log}")
        await kept.next(min(left, 1.0))


def _readiness(
    resource: Resource, version: str, health: Health, ready_ms: int | None, data: int | None
) -> ResourceReadiness:
    return ResourceReadiness(
        name=resource.name, type=resource.type, version=version, health=health, ready_ms=ready_ms, data=data
    )
