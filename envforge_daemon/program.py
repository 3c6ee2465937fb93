"""The program: its parts, its tasks, its beginning and its end."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Coroutine, Sequence
from typing import Any

from envforge_daemon import isolation
from envforge_daemon.commands.desk import Desk
from envforge_daemon.commands.poll import poll
from envforge_daemon.config import Config
from envforge_daemon.control_plane import ControlPlane
from envforge_daemon.errors import DaemonError
from envforge_daemon.heartbeat import Pulse
from envforge_daemon.http import Client
from envforge_daemon.identity import Boot
from envforge_daemon.ingress import Ingress
from envforge_daemon.isolation import Wall, firewall
from envforge_daemon.parts import Context, Part
from envforge_daemon.reports import Outbox
from envforge_daemon.state import State

log = logging.getLogger("envforge_daemon")

# What is under way when the program is asked to end may end by itself for so long.
ENDING_S = 5.0
# The control plane's addresses may change; the firewall follows.
FIREWALL_EVERY_S = 60.0


class Program:
    """One run of the daemon."""

    def __init__(self, config: Config, kinds: Sequence[type[Part]]) -> None:
        self.config = config
        self.kinds = kinds
        self.ending = asyncio.Event()

    async def run(self) -> None:
        """Until `ending` is set: services stay as they are, the next run finds them.

        Raises:
            DaemonError: it cannot begin; says why and what to do.
        """
        walls = await self._raise_walls()
        if walls is None:
            return
        for sentence in walls.sentences():
            log.warning("%s", sentence)
        state = State(self.config.state_dir)
        boot = Boot(self.config.run_dir)
        workspaces = isolation.Workspaces(self.config, walls)
        async with Client() as client:
            control_plane = ControlPlane(self.config, client, boot)
            outbox = Outbox(state.reports)
            ingress = Ingress(self.config, workspaces)
            context = Context(self.config, state, workspaces, ingress, outbox, control_plane, client)
            parts = [kind(context) for kind in self.kinds]
            desk = Desk(control_plane, state.results)
            for part in parts:
                desk.register(part.commands())
                await part.adopt()
            pulse = Pulse(self.config, control_plane, boot, parts, walls.missing)
            asking = _forever("commands", poll(control_plane, desk))
            others = [
                _forever("heartbeat", pulse.beat()),
                _forever("reports", outbox.deliver(control_plane)),
                _forever("ingress", ingress.look_after()),
                *(_forever(type(part).__name__, part.run(), may_end=True) for part in parts),
            ]
            if Wall.FIREWALL in walls:
                others.append(_forever("firewall", self._keep_firewall(workspaces)))
            log.info(
                "running as the %s VM %s, generation %s",
                self.config.role,
                self.config.host_id,
                self.config.generation,
            )
            try:
                await self.ending.wait()
            finally:
                log.info("ending; services go on")
                await _ended([asking])
                await desk.close(within_s=ENDING_S)
                for part in parts:
                    await part.close()
                await _ended(others)

    async def _raise_walls(self) -> isolation.Walls | None:
        """The walls; None where the program was asked to end before they stood."""
        raising = asyncio.create_task(isolation.raise_walls(self.config))
        ending = asyncio.create_task(self.ending.wait())
        try:
            await asyncio.wait((raising, ending), return_when=asyncio.FIRST_COMPLETED)
            return await raising if raising.done() else None
        finally:
            await _ended([raising, ending])

    async def _keep_firewall(self, workspaces: isolation.Workspaces) -> None:
        last = firewall.in_force(self.config)
        while True:
            await asyncio.sleep(FIREWALL_EVERY_S)
            try:
                closed = await firewall.protected(self.config, last)
                if set(closed) != set(last) or not await firewall.stands(self.config):
                    closed = await firewall.replace(self.config, last)
                    await workspaces.prove_again()
                    last = closed
            except DaemonError as error:
                log.error(  # noqa: TRY400 - its sentence says it all
                    "the firewall could not be put right: %s", error
                )


def _forever(name: str, work: Coroutine[Any, Any, None], *, may_end: bool = False) -> asyncio.Task[None]:
    task = asyncio.create_task(work, name=name)

    def ended(task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is not None or not may_end:
            # Without one of them the VM would seem alive and do nothing: the program starts anew, and adopts what runs.
            kind = type(error).__name__ if error else "it ended"
            log.critical("%s ended by a fault of the program (%s)", name, kind)
            signal.raise_signal(signal.SIGTERM)

    task.add_done_callback(ended)
    return task


async def _ended(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task
