"""Polls that wait: VMs that are told at once when there is something to do, at the cost of an entry in a dictionary.

A waiting poll holds no database connection and no thread. One connection of each web process listens for the
notifications that `hosts.queue.wake` sends on commit. A notification may be lost (its connection breaks, a process
starts late): every `RECHECK_S` one query asks for all waiting VMs at once, which finds leases that ran out, too.
"""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

import psycopg
import structlog
from django.conf import settings
from psycopg.conninfo import make_conninfo

from hosts import queue
from hosts.callers import hosts_with_open_commands

RECHECK_S = 5.0
RECONNECT_AFTER_S = (0.1, 0.5, 1.0, 2.0)

InDatabase = Callable[..., Awaitable[Any]]

log = structlog.get_logger(__name__)


class Waiting:
    """One poll that waits. `displaced`: a later poll of the same VM has taken its place."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()
        self.displaced = False

    def wake(self) -> None:
        self._woken.set()

    async def until_woken(self, timeout_s: float) -> bool:
        """Wait; False where nothing happened for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()
        woken = self._woken.is_set()
        self._woken.clear()
        return woken


class WaitingRoom:
    """All waiting polls of one process and its event loop, by host."""

    def __init__(self, in_database: InDatabase) -> None:
        self._in_database = in_database
        self._waiting: dict[UUID, Waiting] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    @asynccontextmanager
    async def place(self, host_id: UUID) -> AsyncIterator[Waiting]:
        """Wait for commands of a VM; what is notified inside is not missed.

        A VM has one daemon and that one poll: an earlier one, perhaps of a connection that is dead, is sent away.
        """
        self._begin()
        mine = Waiting()
        earlier = self._waiting.get(host_id)
        self._waiting[host_id] = mine
        if earlier is not None:
            earlier.displaced = True
            earlier.wake()
        try:
            yield mine
        finally:
            if self._waiting.get(host_id) is mine:
                del self._waiting[host_id]

    async def close(self) -> None:
        """Stop listening, and send everybody away."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        for one in self._waiting.values():
            one.displaced = True
            one.wake()

    def _begin(self) -> None:
        if not self._tasks:
            # In contexts of their own: they outlive the request that began them, and its id.
            self._tasks = [
                asyncio.create_task(work, context=contextvars.Context())
                for work in (self._listen(), self._recheck())
            ]

    async def _listen(self) -> None:
        failures = 0
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    listening_address("envforge polls"), autocommit=True
                ) as connection:
                    await connection.execute(f"LISTEN {queue.CHANNEL}")
                    failures = 0
                    # What was notified while nobody listened.
                    for one in self._waiting.values():
                        one.wake()
                    async for notification in connection.notifies():
                        self._wake(notification.payload)
            except (psycopg.Error, OSError) as error:
                log.warning("host.polls.not_listening", reason=type(error).__name__)
            await asyncio.sleep(RECONNECT_AFTER_S[min(failures, len(RECONNECT_AFTER_S) - 1)])
            failures += 1

    def _wake(self, host_id: str) -> None:
        with suppress(ValueError):
            one = self._waiting.get(UUID(host_id))
            if one is not None:
                one.wake()

    async def _recheck(self) -> None:
        while True:
            await asyncio.sleep(RECHECK_S)
            waiting = list(self._waiting)
            if not waiting:
                continue
            try:
                found = await self._in_database(hosts_with_open_commands, waiting)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
                log.warning("host.polls.not_rechecked", reason=type(error).__name__)
                continue
            for host_id in found:
                self._wake(str(host_id))


def listening_address(name: str) -> str:
    """The application's own way in, without the pool: a connection that listens belongs to one listener; `name` is for operators."""
    database = settings.DATABASES["default"]
    options = {key: value for key, value in database["OPTIONS"].items() if key not in {"pool", "options"}}
    return make_conninfo(
        **{
            **options,
            "host": database["HOST"],
            "port": str(database["PORT"] or 5432),
            "user": database["USER"],
            "password": database["PASSWORD"],
            "dbname": database["NAME"],
            "application_name": name,
            # A peer that is gone without a word is noticed within half a minute.
            "keepalives_idle": 15,
            "keepalives_interval": 5,
            "keepalives_count": 3,
        }
    )
