"""A process's identity and the events that follow from it (THREATS G1)."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from uuid import UUID, uuid4

from pydantic import ValidationError

from envforge_gateway import VERSION
from envforge_gateway.clock import now, wall
from envforge_gateway.errors import IdentityLost, Unavailable
from envforge_gateway.gateway import Gateway
from envforge_protocol.gateway.events import (
    EVENT,
    MOST_ACKNOWLEDGED,
    Acknowledgement,
    Applied,
    Drain,
    Heartbeat,
    Hello,
    Keys,
    Purge,
)
from envforge_protocol.gateway.identity import Registered, RegisterRequest, Renewed

LONGEST_WAIT_S = 5.0
# A heartbeat from this far in what is our future: one of the two clocks stood still.
AHEAD_S = 0.5
# Purges applied and not told yet; while nobody takes word of them, the oldest are told as one.
MOST_UNTOLD = 4096


class Stream:
    """Registers, renews, follows the events, and acknowledges what was done."""

    def __init__(self, gateway: Gateway, name: str, drain: Callable[[int], None]) -> None:
        self._gateway = gateway
        self._name = name
        self._drain = drain
        self._instance = uuid4()
        self._id: UUID | None = None
        self._last = 0
        self._silence_s = 3.0
        self._renewing: asyncio.Task[None] | None = None
        self._acknowledging: asyncio.Task[None] | None = None
        self._applied: list[Applied] = []
        self._emptied: int | None = None
        self._to_tell = asyncio.Event()
        self._measure_again = asyncio.Event()

    async def run(self) -> None:
        """For as long as the process lives."""
        misses = 0
        self._acknowledging = asyncio.create_task(self._acknowledge())
        try:
            while True:
                try:
                    if self._id is None:
                        await self._register()
                    async for line in self._gateway.control.lines(
                        f"/gateway/v1/events?after={self._last}", silence_s=self._silence_s
                    ):
                        misses = 0
                        self._take(line)
                except IdentityLost:
                    self._lost()
                except Unavailable as error:
                    self._gateway.log("stream.lost", reason=str(error))
                misses += 1
                await asyncio.sleep(min(LONGEST_WAIT_S, 0.02 * 2**misses) * random.uniform(0.5, 1.0))  # noqa: S311
        finally:
            for task in (self._renewing, self._acknowledging):
                if task is not None:
                    task.cancel()

    async def leave(self) -> None:
        """Say that nothing is open here any more."""
        if self._id is not None:
            with suppress(Unavailable):
                await self._gateway.control.tell("/gateway/v1/leave", None)

    async def _register(self) -> None:
        gateway = self._gateway
        sent = now()
        asked = RegisterRequest(instance=self._instance, name=self._name, version=VERSION)
        told = await gateway.control.ask(
            "/gateway/v1/register",
            asked,
            Registered,
            token=gateway.config.credential.get_secret_value(),
        )
        gateway.clock.measured(sent=sent, database=told.now)
        gateway.control.token = told.token.get_secret_value()
        gateway.freshness.configure(told.grace)
        gateway.freshness.lost()
        gateway.bare.use_keys(told.keys)
        gateway.use_sign_in(told.sign_in_url)
        self._silence_s = max(0.5, told.grace.refuse_after_ms / 1000)
        self._id = told.gateway_id
        self._last = told.revision
        gateway.cache.empty(told.revision, cut=True)
        if self._renewing is not None:
            self._renewing.cancel()
        self._renewing = asyncio.create_task(self._renew(told.renew_after_s))
        gateway.log("registered", id=str(told.gateway_id), revision=told.revision)

    async def _renew(self, after_s: float) -> None:
        gateway = self._gateway
        wait_s = after_s
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._measure_again.wait()
            self._measure_again.clear()
            sent = now()
            try:
                told = await gateway.control.ask("/gateway/v1/renew", None, Renewed)
            except IdentityLost:
                self._lost()
                return
            except Unavailable:
                wait_s = min(5.0, after_s / 4)
                continue
            gateway.clock.measured(sent=sent, database=told.now)
            gateway.control.token = told.token.get_secret_value()
            wait_s = told.renew_after_s

    def _lost(self) -> None:
        """Another gateway from now on: nothing that this one knew counts."""
        self._gateway.log("identity.lost")
        self._id = None
        self._gateway.freshness.lost()

    def _take(self, line: bytes) -> None:
        try:
            event = EVENT.validate_json(line)
        except ValidationError:
            raise Unavailable("A line of the stream is no event.") from None
        gateway = self._gateway
        if isinstance(event, Heartbeat):
            self._heartbeat(event.revision, event.at)
        elif isinstance(event, Purge):
            self._purge(event)
        elif isinstance(event, Hello):
            gateway.metrics.streams_begun += 1
            if event.starts_after != self._last:
                self._gap(event.starts_after)
        elif isinstance(event, Keys):
            gateway.bare.use_keys(event.keys)
        elif isinstance(event, Drain):
            self._drain(event.within_s)

    def _heartbeat(self, revision: int, at: datetime) -> None:
        gateway = self._gateway
        if revision != self._last:
            self._gap(revision)
        local = gateway.clock.local(at)
        if local > now() + AHEAD_S:
            gateway.log("clock.behind")
            gateway.freshness.lost()
            self._measure_again.set()
            return
        if gateway.freshness.heard(local) and gateway.freshness.was_silent:
            gateway.metrics.silences += 1
            gateway.cache.empty(self._last, cut=False)
            gateway.freshness.emptied()

    def _purge(self, event: Purge) -> None:
        gateway = self._gateway
        if event.after != self._last:
            self._gap(event.revision)
            return
        self._last = event.revision
        key = event.key
        done = gateway.cache.purge(key, event.revision, cut=event.cut)
        if key.kind == "route" and key.id is not None and key.epoch is not None:
            gateway.pools.withdraw(key.id, key.epoch)
        elif key.kind == "everything":
            gateway.pools.withdraw_all()
        gateway.metrics.purges += 1
        gateway.metrics.connections_cut += done.cut
        self._applied.append(Applied(revision=event.revision, cut=done.cut, at=wall()))
        if len(self._applied) > MOST_UNTOLD:
            self._emptied = (self._emptied or 0) + self._applied.pop(0).cut
        self._to_tell.set()

    def _gap(self, revision: int) -> None:
        """Something was missed, and nobody knows what: all that is known or open may be what it was about."""
        gateway = self._gateway
        gateway.log("stream.gap", last=self._last, found=revision)
        gateway.metrics.gaps += 1
        self._last = revision
        # Of a database that was restored to an earlier moment: there are no such revisions to acknowledge any more.
        self._applied = [one for one in self._applied if one.revision <= revision]
        done = gateway.cache.empty(revision, cut=True)
        gateway.pools.withdraw_all()
        gateway.metrics.connections_cut += done.cut
        self._applied.clear()
        self._emptied = (self._emptied or 0) + done.cut
        self._to_tell.set()

    async def _acknowledge(self) -> None:
        """Tell what was applied, in order; what is not taken is told again."""
        while True:
            await self._to_tell.wait()
            self._to_tell.clear()
            while self._applied or self._emptied is not None:
                # What is told as cut is closed, at the service's side too (THREATS G2); what comes meanwhile is told next.
                await self._gateway.close_what_is_cut()
                if self._id is None:
                    break
                applied = self._applied[:MOST_ACKNOWLEDGED]
                emptied, self._emptied = self._emptied, None
                told = Acknowledgement(
                    gateway_id=self._id,
                    revision=applied[-1].revision if applied else self._last,
                    applied=tuple(applied),
                    emptied=emptied is not None,
                    cut_all=emptied or 0,
                )
                try:
                    await self._gateway.control.tell("/gateway/v1/acknowledgements", told)
                except Unavailable:
                    if emptied is not None:
                        self._emptied = (self._emptied or 0) + emptied
                    await asyncio.sleep(0.2)
                    continue
                done = {one.revision for one in applied}
                self._applied = [one for one in self._applied if one.revision not in done]
