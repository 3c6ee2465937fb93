"""One process's parts, put together."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from envforge_gateway import heads, responses
from envforge_gateway.activity import Activity
from envforge_gateway.bare import Bare
from envforge_gateway.cache import Cache
from envforge_gateway.clock import DatabaseClock, now
from envforge_gateway.config import Config
from envforge_gateway.control_plane import ControlPlane
from envforge_gateway.freshness import Freshness
from envforge_gateway.front import Front
from envforge_gateway.logs import Log
from envforge_gateway.metrics import Metrics
from envforge_gateway.pages import Pages
from envforge_gateway.plans import Plans
from envforge_gateway.reserved import Reserved
from envforge_gateway.resolver import Resolver
from envforge_gateway.shells import Shells
from envforge_gateway.upstream import Pools
from envforge_gateway.waking import Waker

# Deadlines are looked at so often at least.
MOST_TICK_S = 5.0
# So many connections are closed before others have their turn.
CLOSED_AT_ONCE = 100


class Leaving(Protocol):
    """Something open for long, that can be told that this process ends."""

    def leave(self) -> None: ...

    def cut(self) -> None: ...


class Gateway:
    """What every connection of a process shares."""

    def __init__(self, config: Config, control: ControlPlane, log: Log) -> None:
        self.config = config
        self.control = control
        self.log = log
        self.metrics = Metrics()
        self.clock = DatabaseClock()
        self.freshness = Freshness()
        self.cache = Cache(config.cached_sessions)
        self.pools = Pools(
            config.may_dial, lambda workspace: log("upstream.outside", workspace=str(workspace))
        )
        self.plans = Plans(self.pools)
        self.requests = heads.Reader(config)
        self.responses = responses.Reader()
        self.pages = Pages(config)
        self.activity = Activity(control)
        self.resolver = Resolver(control, self.cache, self.plans, self.clock)
        self.waker = Waker(
            config=config,
            control=control,
            cache=self.cache,
            resolver=self.resolver,
            activity=self.activity,
            pages=self.pages,
            metrics=self.metrics,
        )
        self.bare = Bare(control, self.clock, Shells(control, self.clock))
        self.reserved = Reserved(control, self.clock)
        self.fronts: set[Front] = set()
        self.tunnels: set[Leaving] = set()
        self.draining = False
        self.domain = config.domain
        self.below = f".{config.domain}"
        self.tick_s = min(MOST_TICK_S, config.head_timeout_s / 2, config.first_byte_timeout_s / 2)
        self._tasks: set[asyncio.Task[None]] = set()

    def use_sign_in(self, url: str | None) -> None:
        """Where members sign in."""
        self.pages.sign_in = self.reserved.sign_in = url

    def origin(self, host: str) -> bytes:
        """A host's origin as browsers write it."""
        return self.config.origin(host).encode()

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run something beside; kept alive until it is done."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def connection(self) -> Front:
        """The protocol of one more client."""
        return Front(self)

    def gauges(self) -> dict[str, float]:
        return {
            "connections": len(self.fronts),
            "tunnels": len(self.tunnels),
            "upstream_connections": self.pools.open,
            "cached_sessions": len(self.cache),
            "heartbeat_age_seconds": max(0.0, min(now() - self.freshness.heard_at, 1e9)),
            "draining": float(self.draining),
        }

    def say_goodbye(self) -> None:
        """Close connections without a request, and tell open WebSockets."""
        self.draining = True
        for front in list(self.fronts):
            if front.exchange is None and front.tunnel is None:
                front.close()
        for tunnel in list(self.tunnels):
            tunnel.leave()

    async def close_what_is_cut(self) -> None:
        """Close what was shut by a purge or by its time, in turns with everybody's requests."""
        while self.cache.settle(CLOSED_AT_ONCE):  # noqa: ASYNC110 - a turn for the others, no waiting
            await asyncio.sleep(0)

    async def ended(self) -> None:
        """Stop what runs beside."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
