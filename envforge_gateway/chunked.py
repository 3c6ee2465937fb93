"""Chunked bodies (RFC 9112, 7.1), read strictly: extensions and trailers are dropped, doubtful framing is refused."""

from envforge_gateway.errors import BadRequest

LONGEST_LINE = 256
LONGEST_TRAILERS = 8192
_HEX = frozenset(b"0123456789abcdefABCDEF")
_MOST_DIGITS = 15


class Chunked:
    """Takes a body's bytes as they come; `rest` is what followed its end.

    Raises (from `feed`):
        BadRequest: this is no chunked body.
    """

    __slots__ = ("_held", "_left", "_state", "_trailers", "done", "rest")

    def __init__(self) -> None:
        self._state = "size"
        self._held = b""
        self._left = 0
        self._trailers = 0
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces of content in this data."""
        pieces: list[bytes] = []
        if self._held:
            data, self._held = self._held + data, b""
        at, end = 0, len(data)
        while at < end and not self.done:
            if self._state == "content":
                part = data[at : at + self._left]
                at += len(part)
                self._left -= len(part)
                pieces.append(part)
                if not self._left:
                    self._state = "after"
                continue
            line_end = data.find(b"\r\n", at, at + LONGEST_LINE + 2)
            if line_end < 0:
                if end - at > LONGEST_LINE:
                    raise BadRequest(400, "chunk")
                self._held = data[at:]
                return pieces
            line = data[at:line_end]
            at = line_end + 2
            self._line(line)
        if self.done:
            self.rest = data[at:]
        return pieces

    def _line(self, line: bytes) -> None:
        if self._state == "after":
            if line:
                raise BadRequest(400, "chunk")
            self._state = "size"
        elif self._state == "size":
            digits, _, extension = line.partition(b";")
            digits = digits.rstrip(b" \t")
            if not digits or len(digits) > _MOST_DIGITS or not _HEX.issuperset(digits):
                raise BadRequest(400, "chunk")
            if b"\n" in extension or b"\r" in extension:
                raise BadRequest(400, "chunk")
            self._left = int(digits, 16)
            self._state = "content" if self._left else "trailers"
        elif line:
            self._trailers += len(line)
            if self._trailers > LONGEST_TRAILERS or b"\n" in line or b"\r" in line:
                raise BadRequest(400, "trailers")
        else:
            self.done = True
