"""Recording something at most once in a while, across all processes."""

import hashlib
from dataclasses import dataclass, field

import structlog
from django.core.cache import cache
from django.db import transaction
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Window:
    """Some seconds in which something is recorded once.

    The mark that it was is set only after the commit that records it: a transaction that fails, or a process that dies,
    leaves no mark, and the next to come records it. Two at the same moment may both record it: once too often is
    better than never. The same holds without the cache.
    """

    what: str
    parts: tuple[str, ...]
    window_s: int
    _key: str = field(init=False, default="", compare=False)

    def __post_init__(self) -> None:
        key = hashlib.sha256("\n".join((self.what, *self.parts)).encode()).hexdigest()
        object.__setattr__(self, "_key", f"window:{key}")

    def is_recorded(self) -> bool:
        """Whether it stands recorded in a window that is not over."""
        try:
            return cache.get(self._key) is not None
        except RedisError as error:
            log.warning("window.unknown", reason=type(error).__name__)
            return False

    def mark_after_commit(self) -> None:
        """Begin the window once the present transaction, which records it, has committed."""
        transaction.on_commit(self._mark)

    def _mark(self) -> None:
        try:
            cache.add(self._key, 1, timeout=self.window_s)
        except RedisError as error:
            log.warning("window.unmarked", reason=type(error).__name__)
