"""How often an actor may ask, counted across all processes in the shared cache."""

import time
from typing import TYPE_CHECKING

import structlog
from django.conf import settings
from django.core.cache import cache
from redis.exceptions import RedisError
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from envforge.actor import Actor
from envforge.api.rules import actor_of

if TYPE_CHECKING:
    from rest_framework.views import APIView

log = structlog.get_logger(__name__)

# Scope: so many requests in a window of so many seconds.
Rates = dict[str, tuple[int, int]]


class ByActor(BaseThrottle):
    """Counts an actor's requests in fixed windows, by the method or the view's `throttle_scope` (the setting API_RATES)."""

    def __init__(self) -> None:
        self.window_s = 0

    def allow_request(self, request: Request, view: "APIView") -> bool:
        rates: Rates = settings.API_RATES
        usual = "read" if request.method in SAFE_METHODS else "write"
        scope: str = getattr(view, "throttle_scope", "") or usual
        at_most, self.window_s = rates[scope]
        actor = actor_of(request)
        if not isinstance(actor, Actor):
            return True
        window = int(time.time()) // self.window_s
        key = f"rate:{scope}:{actor.kind}:{actor.id}:{window}"
        try:
            cache.add(key, 0, timeout=self.window_s)
            return bool(cache.incr(key) <= at_most)
        except (RedisError, ValueError) as error:
            # ValueError: the window ended in between. Without a count, nobody is turned away.
            log.warning("rate.unknown", reason=type(error).__name__)
            return True

    def wait(self) -> float:
        """Until the next window, in seconds."""
        return self.window_s - time.time() % self.window_s
