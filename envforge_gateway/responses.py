"""A service's answer: its head, what of it goes on, and how its body ends."""

import httptools

from envforge_gateway.errors import BadResponse

LONGEST_HEAD = 65_536
_MOST_FIELDS = 200
_DROPPED = frozenset(
    {
        *(b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"te", b"trailer"),
        # `Alt-Svc` could lead browsers past this gateway; the rest is for others to say.
        *(b"upgrade", b"alt-svc", b"x-robots-tag", b"public-key-pins", b"proxy-authentication-info"),
        # Orders to an edge in front of us (nginx, lighttpd, Apache), which no app gives: another path, a file of the edge's.
        *(b"x-accel-redirect", b"x-sendfile", b"x-lighttpd-send-file", b"x-reproxy-url"),
    }
)
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_LOOKED_AT = _DROPPED | _FRAMING | {b"set-cookie", b"clear-site-data", b"sec-websocket-accept"}
_NO_BODY = frozenset({204, 304})
# The first status that is no interim one.
FINAL = 200
# What is done with a line, if it is not looked at by its name and value; no name has a colon.
_PASS, _DROP = (b":pass", b""), (b":drop", b"")
_NONE: frozenset[bytes] = frozenset()
# Never kept for another answer.
_PRIVATE = frozenset({b"set-cookie"})
STARTS_REMEMBERED = 256
LINES_REMEMBERED = 4096
LONGEST_REMEMBERED = 256
HEADS_REMEMBERED = 64
LONGEST_HEAD_REMEMBERED = 1024


class Response:
    """What an answer's head says; once it is read, nothing of it changes. `length` is None where its body is chunked or ends with
    the connection.

    `start` is its first line, and `named` what `Connection` lists. `usual`: the head that most clients get for it, once one did.
    """

    __slots__ = (
        *("accept", "chunked", "is_private", "is_read", "keep_alive", "length", "lines", "named", "start"),
        *("status", "upgrade", "usual"),
    )

    def __init__(self) -> None:
        self.status = 0
        self.start = self.upgrade = self.accept = self.usual = b""
        self.lines: list[bytes] = []
        self.length: int | None = None
        self.chunked = self.is_read = self.is_private = False
        self.keep_alive = True
        self.named: frozenset[bytes] = _NONE


class _Head:
    __slots__ = ("begun", "reason")

    def __init__(self) -> None:
        self.begun = 0
        self.reason = b""

    def on_message_begin(self) -> None:
        self.begun += 1

    def on_status(self, reason: bytes) -> None:
        self.reason += reason


class Reader:
    """Reads heads of answers. An app says nearly the same with each: lines that llhttp has read once are known after that."""

    def __init__(self) -> None:
        self._starts: dict[bytes, tuple[int, bytes, bool]] = {}
        self._lines: dict[bytes, tuple[bytes, bytes]] = {}

    def read(self, head: bytes, *, host: str, to_head: bool) -> Response:
        """The answer that a head, up to and with its empty line, begins. `to_head`: it answers HEAD, and has no body.

        Raises:
            BadResponse: it is none that can be passed on.
        """
        first, *fields = head[:-4].split(b"\r\n")
        if len(fields) > _MOST_FIELDS:
            raise BadResponse("fields")
        response = Response()
        start = self._starts.get(first) or self._whole(response, head, first)
        response.status, response.start, response.keep_alive = start
        known, lines = self._lines, response.lines
        for line in fields:
            said = known.get(line)
            if said is None:
                if not response.is_read:
                    self._whole(response, head, first)
                said = self._understood(line)
            if said is _PASS:
                lines.append(line)
            elif said is not _DROP:
                _look_at(response, line, *said, host)
        if response.named:
            _named(response)
        if to_head or response.status in _NO_BODY:
            _without_body(response)
        elif not response.chunked and response.length is None:
            response.keep_alive = False
        return response

    def _whole(self, response: Response, head: bytes, first: bytes) -> tuple[int, bytes, bool]:
        """What its first line says, as llhttp reads it, which reads all of the head."""
        lines = head.count(b"\n")
        if (
            head.count(b"\r\n") != lines
            or head.count(b"\r") != lines
            or b"\0" in head
            or b"\r\n " in head
            or b"\r\n\t" in head
        ):
            raise BadResponse("line")
        found = _Head()
        parser = httptools.HttpResponseParser(found)
        try:
            parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            pass
        except (httptools.HttpParserError, ValueError):
            raise BadResponse("response") from None
        if found.begun != 1:
            raise BadResponse("response")
        response.is_read = True
        status = parser.get_status_code()
        start = (status, b"HTTP/1.1 %d %b" % (status, found.reason), parser.get_http_version() != "1.0")
        if len(first) <= LONGEST_REMEMBERED:
            if len(self._starts) >= STARTS_REMEMBERED:
                self._starts.clear()
            self._starts[first] = start
        return start

    def _understood(self, line: bytes) -> tuple[bytes, bytes]:
        """What is done with a line that llhttp has found to be a field: its name and value, if that depends on them."""
        name, _, value = line.partition(b":")
        lower = name.lower()
        value = value.strip(b" \t")
        if lower in _LOOKED_AT:
            # That a connection stays is what it does anyway.
            stays = lower == b"connection" and value.lower() == b"keep-alive"
            understood = _DROP if stays else (lower, value)
        else:
            understood = _DROP if lower.startswith(b"x-envforge") else _PASS
        if len(line) <= LONGEST_REMEMBERED and lower not in _PRIVATE:
            if len(self._lines) >= LINES_REMEMBERED:
                self._lines.clear()
            self._lines[line] = understood
        return understood


class Said:
    """Heads that one service said lately: a busy app says the same one again within a second. No other service's are among them, so
    that none finds out what another one said."""

    __slots__ = ("_heads",)

    def __init__(self) -> None:
        self._heads: dict[bytes, Response] = {}

    def read(self, reader: Reader, head: bytes, *, host: str, to_head: bool) -> Response:
        """As `Reader.read`."""
        known = None if to_head else self._heads.get(head)
        if known is not None:
            return known
        response = reader.read(head, host=host, to_head=to_head)
        is_for_all = not (to_head or response.is_private or response.status < FINAL)
        if is_for_all and len(head) <= LONGEST_HEAD_REMEMBERED:
            if len(self._heads) >= HEADS_REMEMBERED:
                self._heads.clear()
            self._heads[head] = response
        return response


def _look_at(response: Response, line: bytes, name: bytes, value: bytes, host: str) -> None:
    """Note what a line says, and pass it on if it may go."""
    if name in _PRIVATE:
        response.is_private = True
        if _is_own(value, host):
            response.lines.append(line)
    elif name in _FRAMING:
        _framing(response, name, value)
    elif name == b"connection":
        response.named |= {one.strip() for one in value.lower().split(b",")}
    elif name == b"upgrade":
        response.upgrade = value.lower()
    elif name == b"sec-websocket-accept":
        response.accept = value
        response.lines.append(line)
    elif name == b"clear-site-data" and b"cookies" not in value.lower() and b"*" not in value:
        # Browsers would clear the cookies of all sites below one domain.
        response.lines.append(line)


def _named(response: Response) -> None:
    """What `Connection` names is between the service and this gateway."""
    if b"close" in response.named:
        response.keep_alive = False
    hop_by_hop = response.named - {b"close", b"keep-alive", b"upgrade", b""}
    if hop_by_hop:
        response.lines = [
            line for line in response.lines if line.partition(b":")[0].lower() not in hop_by_hop
        ]


def _framing(response: Response, name: bytes, value: bytes) -> None:
    if name == b"content-length":
        if not value.isdigit() or response.chunked or response.length is not None:
            raise BadResponse("length")
        response.length = int(value)
    else:
        if value.strip().lower() != b"chunked" or response.length is not None or response.chunked:
            raise BadResponse("coding")
        response.chunked = True


def _without_body(response: Response) -> None:
    # HEAD and 304 say how long it would be (RFC 9110, 8.6); 204 says nothing.
    if response.length is not None and response.status != 204:
        response.lines.append(b"Content-Length: %d" % response.length)
    response.length = 0
    response.chunked = False


def _is_own(cookie: bytes, host: str) -> bool:
    """Whether a cookie is for this host alone, and not one of the gateway's."""
    pair, *attributes = cookie.split(b";")
    if pair.strip().lower().startswith(b"__host-envforge"):
        return False
    for attribute in attributes:
        name, _, value = attribute.partition(b"=")
        if name.strip().lower() == b"domain":
            domain = value.strip().lstrip(b".").lower()
            if domain and domain != host.encode():
                return False
    return True
