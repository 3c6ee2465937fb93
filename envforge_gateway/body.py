"""A request's body on its way: framed as the service will read it, and counted."""

from envforge_gateway.chunked import Chunked
from envforge_gateway.errors import BadRequest
from envforge_gateway.requests import Request


class Body:
    """`rest` is what followed the body's end."""

    __slots__ = ("_chunked", "_left", "_most", "_seen", "begun", "done", "rest")

    def __init__(self, request: Request, most: int) -> None:
        self._chunked = Chunked() if request.chunked else None
        self._left = request.length
        self._most = most
        self._seen = 0
        self.begun = False
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """What goes on to the service.

        Raises:
            BadRequest: broken framing, or more than a body may be.
        """
        self.begun = True
        if self._chunked is None:
            left = self._left
            if len(data) < left:
                self._left = left - len(data)
                return data
            self.done = True
            self.rest = data[left:]
            return data[:left] if self.rest else data
        pieces = self._chunked.feed(data)
        self._seen += sum(map(len, pieces))
        if self._seen > self._most:
            raise BadRequest(413, "too_long")
        out = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        if self._chunked.done:
            self.done = True
            self.rest = self._chunked.rest
            out += b"0\r\n\r\n"
        return out
