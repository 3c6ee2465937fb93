"""A service's answer: its head, what of it goes on, and how its body ends."""

from collections.abc import Sequence

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
_PASS, _DROP, _LOOK_AT = range(3)
# Never kept for another answer.
_PRIVATE = frozenset({b"set-cookie"})
STARTS_REMEMBERED = 256
LINES_REMEMBERED = 4096
LONGEST_REMEMBERED = 256


class Response:
    """What an answer's head says. `length` is None where its body is chunked or ends with the connection."""

    status = 0
    reason = upgrade = accept = b""
    length: int | None = None
    chunked = False
    keep_alive = True

    def __init__(self) -> None:
        self.lines: list[bytes] = []


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
        self._lines: dict[bytes, tuple[int, bytes, bytes]] = {}

    def read(self, head: bytes, *, host: str, to_head: bool) -> Response:
        """The answer that a head, up to and with its empty line, begins. `to_head`: it answers HEAD, and has no body.

        Raises:
            BadResponse: it is none that can be passed on.
        """
        first, *fields = head[:-4].split(b"\r\n")
        if len(fields) > _MOST_FIELDS:
            raise BadResponse("fields")
        known = self._lines
        said = [known.get(line) for line in fields]
        start = self._starts.get(first)
        if start is None or None in said:
            start = self._whole(head, first)
            said = [self._understood(line) for line in fields]
        response = Response()
        response.status, response.reason, response.keep_alive = start
        _fields(response, fields, said, host)
        if to_head or response.status in _NO_BODY:
            _without_body(response)
        elif not response.chunked and response.length is None:
            response.keep_alive = False
        return response

    def _whole(self, head: bytes, first: bytes) -> tuple[int, bytes, bool]:
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
        start = (parser.get_status_code(), found.reason, parser.get_http_version() != "1.0")
        if len(first) <= LONGEST_REMEMBERED:
            if len(self._starts) >= STARTS_REMEMBERED:
                self._starts.clear()
            self._starts[first] = start
        return start

    def _understood(self, line: bytes) -> tuple[int, bytes, bytes]:
        """What is done with a line that llhttp has found to be a field."""
        name, _, value = line.partition(b":")
        lower = name.lower()
        value = value.strip(b" \t")
        if lower in _LOOKED_AT:
            # That a connection stays is what it does anyway.
            action = _DROP if lower == b"connection" and value.lower() == b"keep-alive" else _LOOK_AT
        else:
            action = _DROP if lower.startswith(b"x-envforge") else _PASS
        understood = (action, lower, value)
        if len(line) <= LONGEST_REMEMBERED and lower not in _PRIVATE:
            if len(self._lines) >= LINES_REMEMBERED:
                self._lines.clear()
            self._lines[line] = understood
        return understood


def _fields(
    response: Response, fields: list[bytes], said: Sequence[tuple[int, bytes, bytes] | None], host: str
) -> None:
    lines = response.lines
    named: set[bytes] = set()
    for line, understood in zip(fields, said, strict=True):
        if understood is None:
            continue
        action, lower, value = understood
        if action == _PASS:
            lines.append(line)
        elif action == _LOOK_AT:
            if lower == b"connection":
                named.update(one.strip() for one in value.lower().split(b","))
            else:
                _note(response, lower, value)
            if _passes(lower, value, host):
                lines.append(line)
    if not named:
        return
    if b"close" in named:
        response.keep_alive = False
    hop_by_hop = named - {b"close", b"keep-alive", b"upgrade", b""}
    if hop_by_hop:
        response.lines = [line for line in lines if line.partition(b":")[0].lower() not in hop_by_hop]


def _note(response: Response, name: bytes, value: bytes) -> None:
    if name in _FRAMING:
        _framing(response, name, value)
    elif name == b"upgrade":
        response.upgrade = value.strip().lower()
    elif name == b"sec-websocket-accept":
        response.accept = value.strip()


def _passes(name: bytes, value: bytes, host: str) -> bool:
    if name == b"set-cookie":
        return _is_own(value, host)
    if name == b"clear-site-data":
        # Browsers clear the cookies of all sites below one domain.
        return b"cookies" not in value.lower() and b"*" not in value
    return name == b"sec-websocket-accept"


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
