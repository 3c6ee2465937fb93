"""The service's side of an exchange: the request goes out, the answer comes back, at constant memory."""

from typing import TYPE_CHECKING

from envforge_gateway import responses
from envforge_gateway.chunked import Chunked
from envforge_gateway.errors import BadRequest, BadResponse
from envforge_gateway.frames import accept
from envforge_gateway.requests import SAFE, Request
from envforge_gateway.responses import Response
from envforge_gateway.tunnel import Tunnel
from envforge_gateway.upstream import Upstream

if TYPE_CHECKING:
    from envforge_gateway.exchange import Exchange

_CONTINUE, _SWITCHING = 100, 101
_MOST_INTERIM = 16
SMALL = 16_384
# An empty line, joined to those before it.
_END = (b"", b"")
NEVER = float("inf")


class Relay:
    """Takes a connection to a service for one exchange."""

    __slots__ = (
        *(
            "_chunked",
            "_exchange",
            "_head",
            "_interim",
            "_is_paused",
            "_left",
            "_rechunk",
            "_response",
            "_upstream",
        ),
        *("has_begun", "is_full"),
    )

    def __init__(self, exchange: "Exchange", upstream: Upstream) -> None:
        self._exchange = exchange
        self._upstream = upstream
        self._head = b""
        self._interim = 0
        self._response: Response | None = None
        self._chunked: Chunked | None = None
        self._left = -1
        self._rechunk = False
        self._is_paused = False
        self.has_begun = False
        self.is_full = False

    def begin(self) -> None:
        """Send the request's head."""
        request = self._exchange.request
        self._upstream.taker = self
        self._upstream.transport.write(
            b"".join(
                (
                    request.method,
                    b" ",
                    request.path,
                    request.query,
                    request.fields,
                    request.cookies,
                    b"\r\nX-Forwarded-For: ",
                    request.client.encode("ascii"),
                    b"\r\n\r\n",
                )
            )
        )

    def send(self, data: bytes) -> None:
        """Part of the request's body."""
        if not self._upstream.closed:
            self._upstream.transport.write(data)

    # What the service sends

    def upstream_data(self, data: bytes) -> None:
        exchange = self._exchange
        if not exchange.gateway.freshness.may_stay_open:
            exchange.cut()
            return
        if self._response is None:
            head = self._head + data if self._head else data
            end = head.find(b"\r\n\r\n", 0, responses.LONGEST_HEAD)
            if end < 0:
                if len(head) > responses.LONGEST_HEAD:
                    self._broken("head")
                else:
                    self._head = head
                return
            self._head = b""
            self._begun(head, end + 4)
        else:
            self._content(data, b"")

    def _begun(self, data: bytes, end: int) -> None:
        """The head is whole; `end` is where the body begins in what came with it."""
        exchange = self._exchange
        request = exchange.request
        try:
            response = self._upstream.pool.said.read(
                exchange.gateway.responses,
                data[:end],
                host=request.host,
                to_head=request.method == b"HEAD",
            )
        except BadResponse:
            self._broken("response")
            return
        if response.status < responses.FINAL:
            self._interim_answer(response, data[end:])
            return
        self._response = response
        self.has_begun = True
        exchange.front.deadline = NEVER
        head = self._framed(response)
        if self._left > SMALL < len(data):
            # Passed on as it is, without being copied.
            self._counted(memoryview(data)[end:], head)
        else:
            self._content(data[end:], head, started=True)

    def _framed(self, response: Response) -> bytes:
        """The head as the client gets it; decides how the body is framed for it."""
        exchange = self._exchange
        request, gateway = exchange.request, exchange.gateway
        gateway.metrics.answers[response.status] += 1
        if response.chunked:
            self._chunked = Chunked()
        elif response.length is not None:
            self._left = response.length
        if response.length is None:
            self._rechunk = request.minor == 1
        if exchange.wants_body or gateway.draining or (response.length is None and not self._rechunk):
            request.keep_alive = False
        if not request.keep_alive or request.minor == 0 or request.method == b"HEAD":
            return self._head_for(request, response)
        # All of these get the same.
        response.usual = response.usual or self._head_for(request, response)
        return response.usual

    def _head_for(self, request: Request, response: Response) -> bytes:
        lines = [response.start, *response.lines]
        if self._rechunk:
            lines.append(b"Transfer-Encoding: chunked")
        elif response.length is not None and response.status not in {204, 304} and request.method != b"HEAD":
            lines.append(b"Content-Length: %d" % response.length)
        lines.append(b"X-Robots-Tag: noindex")
        if not request.keep_alive:
            lines.append(b"Connection: close")
        elif request.minor == 0:
            lines.append(b"Connection: keep-alive")
        lines += _END
        return b"\r\n".join(lines)

    def _content(self, data: bytes, head: bytes, *, started: bool = False) -> None:
        front = self._exchange.front
        if self._chunked is not None:
            try:
                pieces = self._chunked.feed(data)
            except BadRequest:
                front.send(head)
                self._exchange.gateway.metrics.upstream_errors["chunk"] += 1
                self._exchange.cut()
                return
            out = self._rechunked(pieces)
            if self._chunked.done:
                out += b"0\r\n\r\n" if self._rechunk else b""
                front.send(head + out)
                self._finish(has_rest=bool(self._chunked.rest))
            elif head or out:
                front.send(head + out)
        elif self._left >= 0:
            self._counted(data, head)
        elif started or data:
            front.send(head + self._rechunked([data] if data else []))

    def _counted(self, data: bytes | memoryview, head: bytes) -> None:
        """Part of a body of known length."""
        front, left, size = self._exchange.front, self._left, len(data)
        if size > left:
            data = data[:left]
        if size < SMALL:
            front.send(head + data)
        else:
            # Two writes of one turn go out as one; a large part is not copied for it.
            if head:
                front.send(head)
            front.send(data)
        if size < left:
            self._left = left - size
        else:
            self._finish(has_rest=size > left)

    def _rechunked(self, pieces: list[bytes]) -> bytes:
        if self._rechunk:
            return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        return b"".join(pieces)

    def _interim_answer(self, response: Response, rest: bytes) -> None:
        exchange = self._exchange
        if response.status == _SWITCHING:
            self._switched(response, rest)
            return
        self._interim += 1
        if self._interim > _MOST_INTERIM:
            self._broken("interim")
            return
        # Early hints and the like pass; a client of HTTP/1.0 knows none of them.
        if exchange.request.minor == 1 and (response.status != _CONTINUE or exchange.request.expects):
            lines = [response.start, *response.lines]
            exchange.front.send(b"\r\n".join(lines) + b"\r\n\r\n")
        if rest:
            self.upstream_data(rest)

    def _switched(self, response: Response, rest: bytes) -> None:
        exchange = self._exchange
        request = exchange.request
        if (
            not request.is_websocket
            or response.upgrade != b"websocket"
            or response.accept != accept(request.websocket_key)
        ):
            # Whoever cannot prove that it read this upgrade may have taken the client's bytes for something else.
            self._broken("upgrade")
            return
        lines = [
            b"HTTP/1.1 101 Switching Protocols",
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            *response.lines,
        ]
        exchange.gateway.metrics.answers[_SWITCHING] += 1
        exchange.front.send(b"\r\n".join(lines) + b"\r\n\r\n")
        entry = exchange.entry
        if entry is None:
            exchange.cut()
            return
        tunnel = Tunnel(exchange.gateway, exchange.front, self._upstream, entry)
        # Registered before the exchange is not: a purge must find one of them.
        entry.opened(tunnel)
        exchange.relay = None
        exchange.gateway.cache.closed(entry, exchange)
        self._upstream.taker = tunnel
        exchange.front.into_tunnel(tunnel)
        if rest:
            tunnel.upstream_data(rest)

    def _finish(self, *, has_rest: bool) -> None:
        response, exchange, upstream = self._response, self._exchange, self._upstream
        if response is None:
            return
        if self._is_paused:
            # The client takes the rest in its own time; the next one to take this connection waits for an answer.
            self.resume()
        if response.keep_alive and not has_rest and not exchange.wants_body:
            upstream.give_back()
        else:
            upstream.close()
        exchange.relay = None
        exchange.answered()

    def upstream_lost(self) -> None:
        exchange = self._exchange
        response = self._response
        if response is not None:
            if self._chunked is None and self._left < 0 and not self._upstream.failed:
                if self._rechunk:
                    exchange.front.send(b"0\r\n\r\n")
                self._finish(has_rest=False)
            else:
                # Half an answer must not look like a whole one.
                exchange.gateway.metrics.upstream_errors["cut_short"] += 1
                exchange.cut()
        elif (
            self._upstream.reused
            and not self._head
            and not self._interim
            and exchange.request.method in SAFE
            and not exchange.request.has_body
        ):
            exchange.again_on_new_connection()
        else:
            exchange.failed(502, "closed")

    def _broken(self, word: str) -> None:
        self._upstream.close()
        if self._interim:
            self._exchange.gateway.metrics.upstream_errors[word] += 1
        self._exchange.failed(502, word)

    # Pressure

    def upstream_full(self) -> None:
        self.is_full = True
        self._exchange.service_full()

    def upstream_drained(self) -> None:
        self.is_full = False
        self._exchange.service_drained()

    def pause(self) -> None:
        self._is_paused = True
        if not self._upstream.closed:
            self._upstream.transport.pause_reading()

    def resume(self) -> None:
        self._is_paused = False
        if not self._upstream.closed:
            self._upstream.transport.resume_reading()

    def drop(self) -> None:
        """Let go of the service: its connection is of no more use."""
        self._upstream.close()
