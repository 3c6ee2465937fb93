"""The simulator's loop: what EC2 wants beside what runs, and the step that is missing between the two.

Nothing is remembered that cannot be found again: the endpoint knows the instances, each VM's directory what was started. A
simulator that starts adopts the VMs that run, boots those that should, and ends those that should not.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from local_cloud.aws.control_client import ControlClient, ControlRefusedError, EndpointGoneError
from local_cloud.aws.instance_credentials import mint
from local_cloud.vms import lost, tampering, wanted
from local_cloud.vms.machines import Machine, machines
from local_cloud.vms.metadata import MetadataService, Subject
from local_cloud.vms.shapes import Shapes
from local_cloud.vms.wanted import Instance

log = logging.getLogger("local_cloud.vms")

LOOK_EVERY_S = 0.2
CONSOLE_EVERY_S = 1.0
RENEW_BEFORE = timedelta(minutes=15)


class Simulator:
    """All VMs of one local cloud."""

    def __init__(
        self,
        client: ControlClient,
        state: Path,
        shapes: Shapes,
        *,
        stop_grace_s: float,
        only: Path | None = None,
    ) -> None:
        """`only` is a file that lists (JSON) the instances and tag values to run VMs for; without it, all."""
        self._client = client
        self._state = state
        self._shapes = shapes
        self._stop_grace_s = stop_grace_s
        self._only = only
        self._stopping = False
        self._revision: int | None = None
        self._listed: dict[str, Instance] = {}
        self._instances: dict[str, Instance] = {}
        self._machines: dict[str, Machine] = {}
        self._services: dict[str, MetadataService] = {}
        self._credentials: dict[tuple[str, str], dict[str, str]] = {}
        self._consoles: dict[str, tuple[float, int]] = {}
        self._complained: dict[str, str] = {}
        self._busy: dict[str, asyncio.Task[None]] = {}

    async def run(self, stopping: asyncio.Event) -> None:
        """Watch until asked to stop; then every VM loses its power."""
        self._machines = {one.instance_id: one for one in machines(self._state)}
        for machine in self._machines.values():
            if machine.is_on:
                log.info("%s runs on from before", machine.instance_id)
        for instance_id in await asyncio.to_thread(lost.sweep):
            log.info("%s had left traces, which are removed", instance_id)
        is_first = True
        while not stopping.is_set():
            if await self._ask() and is_first:
                is_first = False
                log.info("ready: %s", self._shapes.sentence())
            if not is_first:
                self._look()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), LOOK_EVERY_S)
        await self._power_off()

    async def _ask(self) -> bool:
        """Whether the endpoint answered."""
        try:
            found = await asyncio.to_thread(self._client.listing, self._revision)
        except (EndpointGoneError, ControlRefusedError) as error:
            self._complain("", str(error))
            return False
        self._complain("", "")
        if "instances" in found:
            self._listed = wanted.read(found["instances"])
            self._revision = found["revision"]
            await asyncio.to_thread(self._shapes.volumes.keep_only, found["volumes"])
        self._instances = self._listed if self._only is None else self._chosen(self._only)
        return True

    def _chosen(self, only: Path) -> dict[str, Instance]:
        names = set(json.loads(only.read_text())) if only.exists() else set()
        return {
            instance_id: one
            for instance_id, one in self._listed.items()
            if names & {instance_id, *one.tags.values()}
        }

    def _look(self) -> None:
        """Begin a step for every VM that needs one; a step of one VM holds no other up."""
        for instance_id in {*self._instances, *self._machines}:
            running = self._busy.get(instance_id)
            if running is None or running.done():
                self._busy[instance_id] = asyncio.create_task(self._step(instance_id))
        for instance_id in [one for one, task in self._busy.items() if task.done()]:
            del self._busy[instance_id]

    async def _step(self, instance_id: str) -> None:
        instance = self._instances.get(instance_id)
        machine = self._machines.get(instance_id)
        if self._stopping:
            return
        try:
            if instance is None or instance.is_gone:
                await self._remove(instance_id)
            elif instance.is_wanted_on:
                await self._keep_on(instance, machine or Machine(self._state / instance_id))
            elif machine is not None:
                machine.clear_intent()
                await self._forget_service(instance_id)
                if machine.record is not None and machine.record.pid:
                    log.info("%s stops", instance_id)
                    await asyncio.to_thread(machine.stop, self._stop_grace_s)
            self._complain(instance_id, "")
        except OSError as error:
            self._complain(instance_id, str(error))

    async def _remove(self, instance_id: str) -> None:
        machine = self._machines.pop(instance_id, None)
        await self._forget_service(instance_id)
        if machine is not None:
            log.info("%s ends", instance_id)
            await asyncio.to_thread(machine.remove)
            self._shapes.volumes.forget(instance_id)

    async def _keep_on(self, instance: Instance, machine: Machine) -> None:
        self._machines[instance.instance_id] = machine
        record = machine.record
        if record is not None and record.boots != instance.boots:
            log.info("%s boots anew", instance.instance_id)
            machine.clear_intent()
            await asyncio.to_thread(machine.stop, self._stop_grace_s)
        if record is not None and record.pid and record.address != instance.address:
            log.info("%s has another address", instance.instance_id)
            await asyncio.to_thread(machine.stop, 0.0)
        if machine.intent.crashed:
            await self._forget_service(instance.instance_id)
            return
        # A VM boots when EC2 is done with its part; slow boots are slow for the daemon too.
        if instance.state != "running":
            return
        await self._serve_metadata(instance, machine)
        self._shapes.volumes.arrange(instance.instance_id, instance.volumes)
        if not machine.is_on:
            await self._boot(instance, machine)
            await self._serve_metadata(instance, machine)
        tampering.hold(machine)
        machine.watch()
        await self._send_console(machine)

    async def _boot(self, instance: Instance, machine: Machine) -> None:
        log.info("%s boots at %s", instance.instance_id, instance.address)
        await asyncio.to_thread(machine.stop, 0.0)
        plan = self._shapes.plan(instance, machine)
        await asyncio.to_thread(machine.start, plan)

    async def _serve_metadata(self, instance: Instance, machine: Machine) -> None:
        service = self._services.get(instance.instance_id)
        if service is not None and service.subject.instance.address != instance.address:
            await self._forget_service(instance.instance_id)
            service = None
        if not instance.metadata_endpoint:
            await self._forget_service(instance.instance_id)
        elif service is not None:
            service.subject.instance = instance
        elif machine.record is not None:
            service = MetadataService(Subject(instance, machine.record.token_key), self._role_credentials)
            await service.start()
            self._services[instance.instance_id] = service

    async def _forget_service(self, instance_id: str) -> None:
        for key in [key for key in self._credentials if key[0] == instance_id]:
            del self._credentials[key]
        service = self._services.pop(instance_id, None)
        if service is not None:
            await service.stop()

    async def _role_credentials(self, instance: Instance, role: str) -> dict[str, str]:
        """Credentials that are good for a while yet; new ones come before the old ones end."""
        key = (instance.instance_id, role)
        kept = self._credentials.get(key)
        if kept is not None and datetime.fromisoformat(kept["Expiration"]) - datetime.now(UTC) > RENEW_BEFORE:
            return kept
        client = self._client
        minted = await asyncio.to_thread(
            mint,
            client.endpoint_url,
            client.root_key,
            instance.region,
            role_name=role,
            instance_id=instance.instance_id,
        )
        self._credentials[key] = minted
        return minted

    async def _send_console(self, machine: Machine) -> None:
        """Give EC2 what GetConsoleOutput shows, when there is more of it."""
        machine.trim_console()
        size = machine.console.stat().st_size if machine.console.exists() else 0
        sent_at, sent_size = self._consoles.get(machine.instance_id, (0.0, -1))
        if size == sent_size or time.monotonic() - sent_at < CONSOLE_EVERY_S:
            return
        self._consoles[machine.instance_id] = (time.monotonic(), size)
        with contextlib.suppress(EndpointGoneError, ControlRefusedError):
            await asyncio.to_thread(self._client.keep_console, machine.instance_id, machine.console_end())

    async def _power_off(self) -> None:
        # A step that has not begun must not boot what is to lose its power.
        self._stopping = True
        await asyncio.gather(*self._busy.values(), return_exceptions=True)
        steps: list[Awaitable[None]] = [self._forget_service(one) for one in list(self._services)]
        steps += [asyncio.to_thread(one.stop, self._stop_grace_s) for one in self._machines.values()]
        await asyncio.gather(*steps)

    def _complain(self, instance_id: str, what: str) -> None:
        """Say each trouble once, until it is over."""
        if what and self._complained.get(instance_id) != what:
            log.warning("%s %s", instance_id or "-", what)
        self._complained[instance_id] = what
