"""One client's connection: finds requests in its bytes, one after the other, and gives each its exchange."""

import asyncio
import re
from ipaddress import ip_address
from typing import TYPE_CHECKING, Protocol, cast

from envforge_gateway import answers
from envforge_gateway.clock import now
from envforge_gateway.errors import BadRequest
from envforge_gateway.exchange import Exchange
from envforge_gateway.resets import reset

if TYPE_CHECKING:
    from envforge_gateway.gateway import Gateway


class Tunnelled(Protocol):
    """What takes a connection's bytes once they are no requests any more."""

    def client_data(self, data: bytes) -> None: ...

    def client_lost(self) -> None: ...

    def client_ended(self) -> None: ...

    def client_full(self) -> None: ...

    def client_drained(self) -> None: ...


# Bytes of later requests, or of a body that cannot go on yet, that wait here before reading pauses.
MOST_WAITING = 65_536
# Requests of one connection that are begun before others have their turn.
REQUESTS_A_TURN = 16
LINGER_BYTES = 1 << 20
LINGER_S = 2.0
_EMPTY_LINE = b"\r\n\r\n"
_EMPTY_LINES = re.compile(rb"(?:\r\n)+").match
NEVER = float("inf")


class Front(asyncio.Protocol):
    """HTTP/1.1 with keep-alive and pipelining: requests are answered in order, one at a time; what came too early waits as bytes."""

    __slots__ = (
        *(
            "_head_bytes",
            "_has_turn",
            "_head_since",
            "_idle_timeout_s",
            "_in_next",
            "_lingering",
            "_number",
            "_paused",
            "_timer",
            "buffer",
            "closed",
            "deadline",
            "exchange",
        ),
        *("gateway", "is_full", "peer", "transport", "trusted", "tunnel"),
    )

    transport: asyncio.Transport

    def __init__(self, gateway: "Gateway") -> None:
        self.gateway = gateway
        self.buffer = b""
        self.exchange: Exchange | None = None
        self.tunnel: Tunnelled | None = None
        self.closed = False
        self.is_full = False
        self.deadline = NEVER
        self._head_bytes = gateway.config.head_bytes
        self._idle_timeout_s = gateway.config.idle_timeout_s
        self._head_since = 0.0
        self._has_turn = False
        self._in_next = False
        self._lingering = -1
        self._paused = False
        self._timer: asyncio.TimerHandle | None = None
        self.peer = ""
        self.trusted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._number: int = transport.get_extra_info("socket").fileno()
        named = transport.get_extra_info("peername")
        self.peer = str(named[0]) if named else ""
        config = self.gateway.config
        self.trusted = bool(config.trusted_peers and self.peer and config.trusts(ip_address(self.peer)))
        self.gateway.fronts.add(self)
        if len(self.gateway.fronts) > config.max_connections:
            self.gateway.metrics.refused["connections"] += 1
            self.send(answers.plain(503, "Too many connections."))
            self.close()
            return
        self.deadline = now() + config.idle_timeout_s
        self._tick()

    def connection_lost(self, _exc: Exception | None) -> None:
        self.closed = True
        self.gateway.fronts.discard(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.tunnel is not None:
            self.tunnel.client_lost()
        elif self.exchange is not None:
            self.exchange.client_lost()

    def data_received(self, data: bytes) -> None:
        if self.tunnel is not None:
            self.tunnel.client_data(data)
        elif self._lingering >= 0:
            self._lingering += len(data)
            if self._lingering > LINGER_BYTES:
                self.transport.abort()
        else:
            self.buffer = self.buffer + data if self.buffer else data
            exchange = self.exchange
            if exchange is None:
                self.next()
            else:
                if exchange.wants_body:
                    exchange.take_body()
                self.check_waiting()

    def eof_received(self) -> bool:
        """A client that will send no more may still read; one that has nothing under way is done."""
        if self.tunnel is not None:
            self.tunnel.client_ended()
            return False
        return self.exchange is not None and not self.exchange.wants_body

    def pause_writing(self) -> None:
        self.is_full = True
        if self.tunnel is not None:
            self.tunnel.client_full()
        elif self.exchange is not None:
            self.exchange.client_full()
        else:
            self.deadline = now() + self.gateway.config.stall_timeout_s

    def resume_writing(self) -> None:
        self.is_full = False
        if self.tunnel is not None:
            self.tunnel.client_drained()
        elif self.exchange is not None:
            self.exchange.client_drained()
        else:
            self.next()

    def next(self) -> None:
        """Begin with the next request, if all of its head has come, none is under way, and the client takes its answers."""
        if self._in_next:
            return
        self._in_next = True
        turns = REQUESTS_A_TURN
        try:
            while (
                self.exchange is None
                and not (self.closed or self.is_full or self._has_turn)
                and self._lingering < 0
                and self.tunnel is None
            ):
                if not turns:
                    # Requests that are answered at once come by the thousand: the others' turn.
                    self._has_turn = True
                    asyncio.get_running_loop().call_soon(self._next_turn)
                elif not self._begin():
                    break
                turns -= 1
        finally:
            self._in_next = False
        if self.buffer or self._paused:
            self.check_waiting()

    def _next_turn(self) -> None:
        self._has_turn = False
        self.next()

    def _begin(self) -> bool:
        buffer = self.buffer
        if buffer[:2] == b"\r\n":
            # All at once: one after the other, each copies what is left.
            buffer = self.buffer = _before_a_request(buffer)
        if not buffer:
            if self.gateway.draining:
                self.close()
            self._head_since = 0.0
            self.deadline = now() + self._idle_timeout_s
            return False
        end = buffer.find(_EMPTY_LINE, 0, self._head_bytes)
        if end < 0:
            if len(buffer) >= self._head_bytes:
                self.refuse(BadRequest(431, "too_long"))
            elif not self._head_since:
                self._head_since = now()
                self.deadline = self._head_since + self.gateway.config.head_timeout_s
            return False
        self._head_since = 0.0
        self.deadline = NEVER
        head, self.buffer = buffer[: end + 4], buffer[end + 4 :]
        try:
            request = self.gateway.requests.read(head, self.peer, self.trusted)
        except BadRequest as bad:
            self.refuse(bad)
            return False
        self.exchange = exchange = Exchange(self, request)
        exchange.begin()
        return True

    def refuse(self, bad: BadRequest) -> None:
        """Answer what is no request, and read nothing more: where its end lies is not known."""
        self.gateway.metrics.refused[bad.word] += 1
        self.send(answers.plain(bad.status, f"This request cannot be answered ({bad.word})."))
        self.linger()

    def done(self, *, keep: bool) -> None:
        """The exchange is over and its answer written."""
        self.exchange = None
        if self.closed:
            return
        if not keep or self.gateway.draining:
            self.linger()
        elif self.buffer or self._paused:
            self.next()
        else:
            self.deadline = now() + self._idle_timeout_s

    def send(self, data: bytes | memoryview) -> None:
        if not self.closed:
            self.transport.write(data)

    def close(self) -> None:
        """Close once what was written is sent; a client that does not take it in time is cut."""
        # A request that waits for its turn is not begun: its answer would reach nobody.
        self.buffer = b""
        if not self.closed:
            self.transport.close()
            if self.transport.get_write_buffer_size():
                asyncio.get_running_loop().call_later(self.gateway.config.stall_timeout_s, self.abort)

    def shut(self) -> None:
        """From now on nothing passes, either way, and the client is told so at once. `abort` closes it."""
        if self.closed:
            return
        self.closed = True
        # Closing waits for the loop's next turn, and so behind everything else that is cut in this one.
        reset(self._number)
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def abort(self) -> None:
        """Close at once: what was not sent yet never is."""
        self.closed = True
        self.transport.abort()

    def linger(self) -> None:
        """Close, but read a little first: an answer on its way is lost where unread bytes meet a closed socket."""
        self.buffer = b""
        self._lingering = 0
        self.deadline = NEVER
        if self.closed:
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.resume_reading()
        asyncio.get_running_loop().call_later(LINGER_S, self.close)

    def check_waiting(self) -> None:
        """Pause reading while more waits than should."""
        if self.closed:
            return
        if len(self.buffer) > MOST_WAITING:
            self.pause_reading()
        elif self._paused and len(self.buffer) <= MOST_WAITING and self.tunnel is None:
            exchange = self.exchange
            if exchange is None or not exchange.is_upstream_full:
                self.resume_reading()

    def pause_reading(self) -> None:
        if not self._paused and not self.closed:
            self._paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self._paused and not self.closed:
            self._paused = False
            self.transport.resume_reading()

    def _tick(self) -> None:
        """One timer a connection, which looks at the deadline now and then; setting a deadline then costs nothing."""
        clock = now()
        if clock < self.deadline:
            loop = asyncio.get_running_loop()
            step = min(self.deadline - clock, self.gateway.tick_s)
            self._timer = loop.call_later(max(step, 0.01), self._tick)
            return
        self._timer = None
        if self.exchange is not None:
            self.deadline = NEVER
            self.exchange.overdue()
            if not self.closed:
                self._timer = asyncio.get_running_loop().call_later(self.gateway.tick_s, self._tick)
        elif self._head_since:
            self.refuse(BadRequest(408, "slow"))
        else:
            self.close()

    def into_tunnel(self, tunnel: Tunnelled) -> None:
        """From now on bytes pass unread."""
        self.tunnel = tunnel
        self.exchange = None
        self.deadline = NEVER
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        early, self.buffer = self.buffer, b""
        if early:
            tunnel.client_data(early)
        self.resume_reading()


def _before_a_request(data: bytes) -> bytes:
    """Without the empty lines at its beginning (RFC 9112, 2.2)."""
    found = _EMPTY_LINES(data)
    return data[found.end() :] if found else data
