"""Waiting between attempts: longer each time, never all VMs at once."""

import asyncio
import random


class Backoff:
    """Exponential, with full jitter: after the n-th failure a wait anywhere below `first_s * 2**n`, at most `most_s`."""

    def __init__(self, *, first_s: float = 0.5, most_s: float = 30.0) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._failures = 0

    def succeeded(self) -> None:
        """Begin anew."""
        self._failures = 0

    async def wait(self, *, at_least_s: float = 0.0) -> None:
        """After a failure; `at_least_s` is what the server asked for."""
        ceiling = min(self._most_s, self._first_s * 2 ** min(self._failures, 16))
        self._failures += 1
        # At least a tenth, so that a server that fails at once is not asked in a busy loop.
        await asyncio.sleep(max(at_least_s, random.uniform(ceiling / 10, ceiling)))  # noqa: S311 - no secret
