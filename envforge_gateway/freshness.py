"""Whether what is cached may still be used: only while heartbeats say that nothing has happened (THREATS G1)."""

from envforge_gateway.clock import now
from envforge_protocol.gateway.identity import Grace

NEVER = float("-inf")


class Freshness:
    """Two times: from `refuse_at` no request is served, from `cut_at` nothing stays open.

    Both count from the moment the control plane read its revision, not from when the heartbeat arrived: what lay in a
    buffer while this process or its network stood still refreshes nothing. Whoever serves compares with `now()` itself, so
    that a process which stood still finds out before it serves.
    """

    __slots__ = ("_grace", "cut_at", "heard_at", "refuse_at", "was_silent")

    def __init__(self) -> None:
        self._grace = Grace()
        self.heard_at = self.refuse_at = self.cut_at = NEVER
        self.was_silent = True

    def configure(self, grace: Grace) -> None:
        """Take over what the control plane allows."""
        self._grace = grace

    @property
    def may_serve(self) -> bool:
        """Whether a fresh heartbeat came within the grace; a silence is remembered until the cache was emptied."""
        if now() < self.refuse_at:
            return not self.was_silent
        self.was_silent = True
        return False

    @property
    def may_stay_open(self) -> bool:
        return now() < self.cut_at

    def heard(self, at: float) -> bool:
        """A heartbeat whose revision was read at `at`. Whether it is fresh: an old one changes nothing."""
        if at <= self.heard_at or now() >= at + self._grace.refuse_after_ms / 1000:
            return False
        if now() >= self.refuse_at:
            self.was_silent = True
        self.heard_at = at
        self.refuse_at = at + self._grace.refuse_after_ms / 1000
        self.cut_at = at + self._grace.cut_after_ms / 1000
        return True

    def emptied(self) -> None:
        """The cache holds nothing from before the silence."""
        self.was_silent = False

    def lost(self) -> None:
        """Nothing may be believed until the next heartbeat: a gap, an identity that ended."""
        self.refuse_at = NEVER
        self.was_silent = True
