"""Doing something at most once in a while, across all processes."""

import hashlib

import structlog
from django.core.cache import cache
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)


def first_in_window(*parts: str, window_s: int) -> bool:
    """Whether these parts come up for the first time in this window; without the cache, always: once too often is better."""
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    try:
        return bool(cache.add(f"window:{key}", 1, timeout=window_s))
    except RedisError as error:
        log.warning("window.unknown", reason=type(error).__name__)
        return True
