"""What every gateway is told as it commits: one reader of PostgreSQL in each web process, many streams (THREATS G1).

The reader has a connection of its own. It wakes with each commit that purges something, and `heartbeat_every_ms` after it woke last; each time
it reads the revision and the database's clock just before it, then the purges up to there. Streams write purges in order and then the
heartbeat that covers them. Where the database does not answer, nobody is told that they are current: silence is what gateways act upon.
"""

import asyncio
import contextvars
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
import structlog
from django.conf import settings

from devlinks import link_keys
from devlinks.gateways import FED_FOR, extend_leases
from devlinks.models import Purge
from devlinks.purges import CHANNEL, revision_now
from envforge import metrics
from envforge_protocol.gateway.events import Heartbeat, Hello, Key, Keys
from envforge_protocol.gateway.events import Purge as PurgeEvent
from hosts.polls import listening_address

LEASES_EVERY_S = 0.5
# A purge that was numbered so long ago is looked for in the table, by whoever still needs it.
REMEMBERED = 5_000
# Whoever missed more than this begins anew.
MOST_CAUGHT_UP = 20_000
RECONNECT_AFTER_S = (0.05, 0.2, 0.5, 1.0)
_READ_REVISION = "SELECT statement_timestamp(), value FROM devlinks_revision"
_READ_PURGES = "SELECT revision, kind, key_id, epoch, reason, cut FROM devlinks_purge WHERE revision > %s ORDER BY revision LIMIT 10000"

InDatabase = Callable[..., Awaitable[Any]]

log = structlog.get_logger(__name__)


class Feed:
    """What one web process knows of purges, for its streams."""

    def __init__(self, in_database: InDatabase) -> None:
        self._in_database = in_database
        self._lines: OrderedDict[int, bytes] = OrderedDict()
        self._head = -1
        self._read_at: datetime | None = None
        self._read_mono = 0.0
        self._keys: bytes = b""
        self._streams: dict[asyncio.Event, UUID] = {}
        self._leased_mono = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    async def lines(self, gateway_id: UUID, after: int) -> AsyncIterator[bytes]:
        """Everything a gateway is to be told after a revision, line by line, without end."""
        woken = asyncio.Event()
        self._streams[woken] = gateway_id
        metrics.GATEWAY_STREAMS.inc()
        try:
            # Before the first heartbeat, and each time before the entitlement to them runs out.
            await self._in_database(extend_leases, [gateway_id])
            entitled_until = time.monotonic() + FED_FOR.total_seconds()
            self._begin()
            starts_after, at, missed = await self._in_database(_caught_up, after)
            yield _line(Hello(starts_after=starts_after))
            for line in missed:
                yield line
            keys = b""
            while True:
                if self._keys != keys:
                    keys = self._keys
                    yield keys
                while at < self._head and (line := self._lines.get(at + 1)) is not None:
                    at += 1
                    yield line
                if at < self._head:
                    # It was slower than we remember: it begins anew.
                    return
                entitled_until = max(entitled_until, self._leased_mono + FED_FOR.total_seconds())
                if at == self._head and self._read_at is not None and time.monotonic() < entitled_until:
                    yield _line(Heartbeat(revision=at, at=self._read_at))
                woken.clear()
                await woken.wait()
        finally:
            self._streams.pop(woken, None)
            metrics.GATEWAY_STREAMS.dec()

    async def close(self) -> None:
        """Stop reading; streams end with their connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def _begin(self) -> None:
        if not self._tasks:
            # In contexts of their own: they outlive the request that began them, and its id.
            self._tasks = [
                asyncio.create_task(work, context=contextvars.Context())
                for work in (self._read(), self._lease())
            ]

    async def _read(self) -> None:
        failures = 0
        while True:
            try:
                address = listening_address("envforge gateway feed")
                async with await psycopg.AsyncConnection.connect(address, autocommit=True) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    await connection.execute(f"LISTEN {link_keys.CHANNEL}")
                    self._keys = await self._in_database(_keys)
                    while True:
                        await self._look(connection)
                        failures = 0
                        await self._until_something(connection)
            except (psycopg.Error, OSError, TimeoutError) as error:
                log.warning("gateway.feed.not_reading", reason=type(error).__name__)
            except Exception:  # whatever it is, it is tried again; until then gateways hear nothing
                log.exception("gateway.feed.broke")
            await asyncio.sleep(RECONNECT_AFTER_S[min(failures, len(RECONNECT_AFTER_S) - 1)])
            failures += 1

    async def _look(self, connection: "psycopg.AsyncConnection[Any]") -> None:
        """Read where things stand. The clock and then the revision: what the heartbeat says was so at its time."""
        refuse_s = settings.GATEWAY_GRACE_MS[1] / 1000
        async with asyncio.timeout(max(1.0, refuse_s)):
            cursor = await connection.execute(_READ_REVISION)
            row = await cursor.fetchone()
            if row is None:
                raise RuntimeError("the row of revisions is not there")
            at, revision = row
            if self._head < 0:
                self._head = revision
            while self._head < revision:
                cursor = await connection.execute(_READ_PURGES, [self._head])
                for purge in await cursor.fetchall():
                    if purge[0] != self._head + 1:
                        raise RuntimeError(f"revision {self._head + 1} is not there")
                    self._lines[purge[0]] = _purge_line(*purge)
                    self._head = purge[0]
        while len(self._lines) > REMEMBERED:
            self._lines.popitem(last=False)
        self._read_at = at
        for woken in self._streams:
            woken.set()

    async def _until_something(self, connection: "psycopg.AsyncConnection[Any]") -> None:
        every_s = settings.GATEWAY_GRACE_MS[0] / 1000
        async for told in connection.notifies(timeout=every_s, stop_after=1):
            if told.channel == link_keys.CHANNEL:
                self._keys = await self._in_database(_keys)

    async def _lease(self) -> None:
        while True:
            gateways = set(self._streams.values())
            if gateways:
                before = time.monotonic()
                with suppress(Exception):  # the streams fall silent by themselves
                    await self._in_database(extend_leases, gateways)
                    self._leased_mono = before
            await asyncio.sleep(LEASES_EVERY_S)


def _caught_up(after: int) -> tuple[int, int, list[bytes]]:
    """Where a stream starts, where what is answered ends, and the lines between: none where they are not all known."""
    now = revision_now()
    if not now - MOST_CAUGHT_UP <= after <= now:
        return now, now, []
    rows = Purge.objects.filter(revision__gt=after, revision__lte=now).order_by("revision")
    purges = list(rows.values_list("revision", "kind", "key_id", "epoch", "reason", "cut"))
    if len(purges) != now - after:
        return now, now, []
    return after, now, [_purge_line(one[0] or 0, *one[1:]) for one in purges]


def _purge_line(
    revision: int, kind: Any, key_id: UUID | None, epoch: int | None, reason: str, cut: bool
) -> bytes:
    key = Key(kind=kind, id=key_id, epoch=epoch)
    return _line(PurgeEvent(revision=revision, after=revision - 1, key=key, reason=reason, cut=cut))


def _keys() -> bytes:
    return _line(Keys(keys=link_keys.public_keys()))


def _line(event: Hello | PurgeEvent | Heartbeat | Keys) -> bytes:
    return event.model_dump_json().encode() + b"\n"
