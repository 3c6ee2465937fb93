"""Work in a thread of its own, which ends with it: what a thread has taken on (a namespace, an account's access) is nobody else's."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_own_thread(work: Callable[[], T]) -> T:
    """What `work` answers, or the OSError it raises. Whoever stops waiting leaves it to its end."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(found: T | None, error: OSError | None) -> None:
        if answer.cancelled():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(found)  # type: ignore[arg-type]  # one of the two

    def run() -> None:
        found, failed = None, None
        try:
            found = work()
        except OSError as error:
            failed = error
        # A loop that has ended asks for nothing any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, found, failed)

    threading.Thread(target=run, daemon=True).start()
    return await answer
