"""Time that cannot be set back, and what the database's clock shows at most (THREATS G1)."""

import time
from datetime import UTC, datetime
from functools import partial

# Goes on while the machine sleeps; CLOCK_MONOTONIC would not notice.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
# Seconds on this machine's own clock, which no one sets. Asked several times a request.
now = partial(time.clock_gettime, _CLOCK)


def wall() -> datetime:
    """The wall clock, for what people read."""
    return datetime.now(UTC)


class DatabaseClock:
    """Turns times of the control plane's database into times of `now()`, never later than they were.

    A time the database showed while a request was under way was shown after the request was sent: so whatever the way back took,
    a heartbeat counts as at least as old as it is, and a session ends no later than it should.
    """

    __slots__ = ("_ahead",)

    def __init__(self) -> None:
        self._ahead = 0.0

    def measured(self, *, sent: float, database: datetime) -> None:
        """The database showed this time some time after `sent`."""
        self._ahead = database.timestamp() - sent

    def local(self, at: datetime) -> float:
        """When `now()` showed, or will show, what the database calls `at`; too early by a round trip at most."""
        return at.timestamp() - self._ahead

    def database(self) -> datetime:
        """What the database's clock shows at most."""
        return datetime.fromtimestamp(now() + self._ahead, UTC)
