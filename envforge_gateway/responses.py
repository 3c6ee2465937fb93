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


def read(head: bytes, *, host: str, to_head: bool) -> Response:
    """The answer that a head, up to and with its empty line, begins. `to_head`: it answers HEAD, and has no body.

    Raises:
        BadResponse: it is none that can be passed on.
    """
    lines = head.count(b"\n")
    if (
        head.count(b"\r\n") != lines
        or head.count(b"\r") != lines
        or b"\0" in head
        or b"\r\n " in head
        or b"\r\n\t" in head
    ):
        raise BadResponse("line")
    if lines - 2 > _MOST_FIELDS:
        raise BadResponse("fields")
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
    response = Response()
    response.status = parser.get_status_code()
    response.reason = found.reason
    _fields(response, head[:-4].split(b"\r\n")[1:], host)
    if parser.get_http_version() == "1.0":
        response.keep_alive = False
    if to_head or response.status in _NO_BODY:
        _without_body(response)
    elif not response.chunked and response.length is None:
        response.keep_alive = False
    return response


def _fields(response: Response, fields: list[bytes], host: str) -> None:
    lines = response.lines
    named: set[bytes] = set()
    for line in fields:
        name, _, value = line.partition(b":")
        lower = name.lower()
        if lower in _LOOKED_AT:
            value = value.strip(b" \t")
            if lower == b"connection":
                named.update(one.strip() for one in value.lower().split(b","))
            else:
                _note(response, lower, value)
            if not _passes(lower, value, host):
                continue
        if not lower.startswith(b"x-envforge"):
            lines.append(line)
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
