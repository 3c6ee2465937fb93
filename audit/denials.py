"""Refusals of something visible become events, in a transaction of their own after the refused one rolled back."""

import hashlib

import structlog
from django.core.cache import cache
from redis.exceptions import RedisError

from audit.append import append
from audit.kinds import EventKind
from envforge import metrics, tenancy
from envforge.errors import Denial

WINDOW_S = 60

log = structlog.get_logger(__name__)


def record(denial: Denial) -> None:
    """Append `access.denied`, at most once per actor, action, target and minute, so that a flood stays a line."""
    metrics.DENIALS.labels(action=denial.action).inc()
    if not _first_in_window(denial):
        return
    with tenancy.enter(denial.org_id):
        append(
            EventKind.ACCESS_DENIED,
            actor=denial.actor,
            target=denial.target,
            action=denial.action,
            rule=denial.rule,
        )


def _first_in_window(denial: Denial) -> bool:
    parts = (
        str(denial.org_id),
        denial.actor.kind,
        denial.actor.id,
        denial.action,
        denial.target.kind,
        denial.target.id,
    )
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    try:
        return cache.add(f"denial:{key}", 1, timeout=WINDOW_S)
    except RedisError as error:
        # Without the cache an event too many is better than none.
        log.warning("denial.window_unknown", reason=type(error).__name__)
        return True
