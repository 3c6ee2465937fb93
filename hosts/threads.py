"""Threads for what an asynchronous door may not wait for itself: the database, and whoever else is asked."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.db import connections

# Of each door. Django's pool of database connections, which others use too, holds half as many again as both doors need.
DATABASE_THREADS = 8
OUTWARD_THREADS = 8
T = TypeVar("T")


class Threads:
    """The threads of one door in one process."""

    def __init__(self) -> None:
        self._database = ThreadPoolExecutor(DATABASE_THREADS, "host-api-database")
        self._outward = ThreadPoolExecutor(OUTWARD_THREADS, "host-api-outward")

    async def in_database(self, work: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Run something that needs the database, in a thread; its connection is given back at once."""
        return await self._in(self._database, work, *arguments, **named)

    async def outward(self, work: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """The same for what asks others (STS, a filler), so that a slow one holds up no heartbeat."""
        return await self._in(self._outward, work, *arguments, **named)

    async def close(self) -> None:
        self._database.shutdown(wait=False, cancel_futures=True)
        self._outward.shutdown(wait=False, cancel_futures=True)

    async def _in(
        self, threads: ThreadPoolExecutor, work: Callable[..., T], *arguments: Any, **named: Any
    ) -> T:
        context = contextvars.copy_context()

        def run() -> T:
            try:
                return work(*arguments, **named)
            finally:
                connections.close_all()

        return await asyncio.get_running_loop().run_in_executor(threads, context.run, run)
