"""Connections to services: pooled by runtime epoch, to literal addresses of configured networks alone (THREATS G2)."""

import asyncio
import contextlib
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol, cast
from uuid import UUID

from envforge_gateway.clock import now
from envforge_gateway.responses import Said

Address = IPv4Address | IPv6Address
MOST_IDLE = 64
IDLE_S = 30.0


class Taker(Protocol):
    """Whoever uses a connection now."""

    def upstream_data(self, data: bytes) -> None: ...

    def upstream_lost(self) -> None: ...

    def upstream_full(self) -> None: ...

    def upstream_drained(self) -> None: ...


class Upstream(asyncio.Protocol):
    """One connection to a service; whoever takes it gets its bytes until it is given back or closed.

    `failed`: it ended otherwise than by the service's own end of it, so that what came may not be all.
    """

    __slots__ = ("closed", "failed", "idle_since", "pool", "reused", "taker", "transport")

    transport: asyncio.Transport

    def __init__(self, pool: "Pool") -> None:
        self.pool = pool
        self.taker: Taker | None = None
        self.closed = self.failed = False
        self.reused = False
        self.idle_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.pool.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self.taker is None:
            # Nobody asked: what comes now would be read as the next request's answer.
            self.close()
            return
        self.taker.upstream_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self.failed = exc is not None
        self.pool.forget(self)
        taker, self.taker = self.taker, None
        if taker is not None:
            taker.upstream_lost()

    def pause_writing(self) -> None:
        if self.taker is not None:
            self.taker.upstream_full()

    def resume_writing(self) -> None:
        if self.taker is not None:
            self.taker.upstream_drained()

    def close(self) -> None:
        """End it at once; whoever took it hears nothing more."""
        self.taker = None
        if not self.closed:
            self.closed = True
            self.pool.forget(self)
            self.transport.abort()

    def give_back(self) -> None:
        """The answer was complete and the connection stays good."""
        self.taker = None
        pool = self.pool
        if self.closed or pool.withdrawn or len(pool.idle) >= MOST_IDLE:
            self.close()
            return
        self.reused = True
        self.idle_since = now()
        pool.idle.append(self)


class Pool:
    """Connections to one port in one epoch."""

    __slots__ = (
        "__weakref__",
        "address",
        "connections",
        "epoch",
        "idle",
        "port",
        "said",
        "withdrawn",
        "workspace_id",
    )

    def __init__(self, workspace_id: UUID, epoch: int, address: Address, port: int) -> None:
        self.workspace_id = workspace_id
        self.epoch = epoch
        self.address = str(address)
        self.port = port
        self.idle: list[Upstream] = []
        self.connections: set[Upstream] = set()
        self.said = Said()
        self.withdrawn = False

    def take(self) -> Upstream | None:
        """An open connection that nobody uses, the last used first."""
        idle = self.idle
        while idle:
            found = idle.pop()
            if not found.closed and not found.transport.is_closing():
                return found
        return None

    async def connect(self, timeout_s: float) -> Upstream:
        """A new connection.

        Raises:
            OSError: none could be made.
            TimeoutError: not in time.
        """
        self._require_current()
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(timeout_s):
            _, made = await loop.create_connection(lambda: Upstream(self), self.address, self.port)
        try:
            self._require_current()
        except ConnectionRefusedError:
            made.close()
            raise
        return made

    def _require_current(self) -> None:
        if self.withdrawn:
            raise ConnectionRefusedError

    def forget(self, one: Upstream) -> None:
        self.connections.discard(one)
        with contextlib.suppress(ValueError):
            self.idle.remove(one)

    def tidy(self, before: float) -> None:
        """Close what nobody has used since."""
        for one in [one for one in self.idle if one.idle_since < before]:
            one.close()

    def withdraw(self) -> None:
        """The epoch is over: nothing to this address any more."""
        self.withdrawn = True
        for one in list(self.idle):
            one.close()


class Pools:
    """Every pool, by whose it is."""

    def __init__(self, may_dial: Callable[[Address], bool], refused: Callable[[UUID], None]) -> None:
        self._may_dial = may_dial
        self._refused = refused
        self._pools: dict[UUID, dict[tuple[int, Address, int], Pool]] = {}

    def pool(self, workspace_id: UUID, epoch: int, address: Address, port: int) -> Pool | None:
        """The pool of an ingress; None where services have no business to be, whatever the decision says."""
        if not self._may_dial(address):
            self._refused(workspace_id)
            return None
        known = self._pools.setdefault(workspace_id, {})
        key = (epoch, address, port)
        pool = known.get(key)
        if pool is None or pool.withdrawn:
            pool = known[key] = Pool(workspace_id, epoch, address, port)
        return pool

    def withdraw(self, workspace_id: UUID, epoch: int) -> None:
        """End the pools of a workspace up to and with an epoch."""
        known = self._pools.get(workspace_id, {})
        for key in [key for key in known if key[0] <= epoch]:
            known.pop(key).withdraw()
        if not known:
            self._pools.pop(workspace_id, None)

    def withdraw_all(self) -> None:
        for known in self._pools.values():
            for pool in known.values():
                pool.withdraw()
        self._pools.clear()

    def tidy(self) -> None:
        """Close idle connections, and forget pools that have none."""
        before = now() - IDLE_S
        for workspace_id, known in list(self._pools.items()):
            for key, pool in list(known.items()):
                pool.tidy(before)
                if not pool.connections:
                    # A plan may still hold it; then it goes on working and is only not shared.
                    del known[key]
            if not known:
                del self._pools[workspace_id]

    @property
    def open(self) -> int:
        return sum(len(pool.connections) for known in self._pools.values() for pool in known.values())
