"""A process made ahead, since starting an interpreter is a good part of what short work and the start of a service take.

It waits for what it is to do on a pipe of its own, knows nothing before, is used once, and ends by itself when the pipe does: with the program.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

log = logging.getLogger("envforge_daemon")
T = TypeVar("T")

# Made anew only when what the last one was taken for had its turn on the processors.
AFTER_S = 0.3


class Spare(Generic[T]):
    """At most one of a kind. Until `keep` is running each is made when it is asked for."""

    def __init__(self, make: Callable[[bool], Awaitable[T]], is_usable: Callable[[T], bool]) -> None:
        """`make` is told whether it is made ahead, when nobody waits for it yet."""
        self._make = make
        self._is_usable = is_usable
        self._ready: T | None = None
        self._wanted = asyncio.Event()

    async def take(self) -> T:
        """One that nobody else has."""
        ready, self._ready = self._ready, None
        self._wanted.set()
        return ready if ready is not None and self._is_usable(ready) else await self._make(False)

    async def keep(self, discard: Callable[[T], Awaitable[None]]) -> None:
        """Have one ready, for as long as this is not cancelled."""
        try:
            while True:
                self._wanted.clear()
                if self._ready is None:
                    try:
                        self._ready = await self._make(True)
                    except OSError as error:
                        # Whoever needs one makes it, and tells what keeps it from being made.
                        log.warning("no process could be made ahead: %s", error.strerror)
                await self._wanted.wait()
                await asyncio.sleep(AFTER_S)
        finally:
            ready, self._ready = self._ready, None
            if ready is not None:
                await discard(ready)
