"""How often one may ask, counted in this process: a bucket for each, that fills at a steady rate."""

import time
from collections import OrderedDict

# Buckets that are remembered; the one that was asked least recently is full again by the time it is forgotten.
MOST = 20_000


class Buckets:
    """Token buckets by name: `at_once` at first, then `a_second`."""

    def __init__(self, a_second: float, at_once: int) -> None:
        self._a_second = a_second
        self._at_once = at_once
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> float:
        """Take one; answers 0.0, or how many seconds to wait for the next."""
        left, now = self._left(name)
        wait = self._wait(left)
        self._buckets[name] = (left if wait else left - 1, now)
        self._buckets.move_to_end(name)
        if len(self._buckets) > MOST:
            self._buckets.popitem(last=False)
        return wait

    def wait(self, name: str) -> float:
        """What `take` would answer; nothing is taken."""
        return self._wait(self._left(name)[0])

    def _left(self, name: str) -> tuple[float, float]:
        now = time.monotonic()
        left, then = self._buckets.get(name, (float(self._at_once), now))
        return min(self._at_once, left + (now - then) * self._a_second), now

    def _wait(self, left: float) -> float:
        return 0.0 if left >= 1 else (1 - left) / self._a_second
