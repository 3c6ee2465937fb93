"""What the fields of a request say, and what of them its service sees (THREATS G3, RFC 9110)."""

import re

from envforge_gateway import siblings
from envforge_gateway.config import Config
from envforge_gateway.errors import BadRequest
from envforge_gateway.requests import SAFE, Request

_METHOD = re.compile(rb"[A-Z][A-Z-]{0,31}").fullmatch
_HOST = re.compile(rb"([A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?)\.?(?::([0-9]{1,5}))?").fullmatch
_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==").fullmatch
_MOST_LENGTH_DIGITS = 15

# What is done with a field of this name; the rest goes on as it came.
_PASS, _DROP, _KEEP_BACK, _LOOK_AT = range(4)
_ACTIONS = {
    **dict.fromkeys(
        (
            *(
                b"host",
                b"content-length",
                b"transfer-encoding",
                b"connection",
                b"upgrade",
                b"cookie",
                b"expect",
            ),
            b"x-forwarded-for",
        ),
        _KEEP_BACK,
    ),
    **dict.fromkeys(
        (
            *(
                b"origin",
                b"sec-fetch-site",
                b"sec-fetch-mode",
                b"sec-fetch-dest",
                b"accept",
                b"service-worker",
            ),
            *(b"sec-websocket-key", b"sec-websocket-version", b"sec-websocket-protocol", b"content-type"),
            b"authorization",
        ),
        _LOOK_AT,
    ),
    **dict.fromkeys(
        (
            *(b"keep-alive", b"proxy-connection", b"proxy-authorization", b"proxy-authenticate", b"te"),
            *(b"trailer", b"http2-settings", b"forwarded", b"via", b"true-client-ip", b"x-client-ip"),
        ),
        _DROP,
    ),
}
# What only the gateway says; clients that say it are not believed.
_SPOOFED = (b"x-forwarded", b"x-envforge", b"x-original", b"x-real", b"x-rewrite")
# Never kept for another request.
_PRIVATE = frozenset({b"cookie", b"authorization"})
DEFAULT_PORTS = {"https": "443", "http": "80"}
LINES_REMEMBERED = 4096
LONGEST_REMEMBERED = 256
# Given once by whoever means one thing.
_ONCE = frozenset(
    {
        *(b"host", b"content-length", b"transfer-encoding", b"expect", b"origin", b"authorization"),
        *(
            b"sec-fetch-site",
            b"sec-fetch-mode",
            b"sec-fetch-dest",
            b"sec-websocket-key",
            b"sec-websocket-version",
        ),
    }
)


class Fields:
    """Understands fields as one configuration has it."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._scheme = config.scheme.encode()
        self._hosts: dict[bytes, str] = {}
        self._lines: dict[bytes, tuple[int, bytes, bytes]] = {}

    def understand(self, request: Request, fields: list[bytes]) -> dict[bytes, bytes]:
        """Everything that follows from method and fields; the values of those that are looked at.

        Raises:
            BadRequest: they contradict each other, or ask for what is not done.
        """
        # llhttp has found each line to be a field; taken from here, a line that goes on is not put together again.
        lines: list[bytes] = []
        seen: dict[bytes, bytes] = {}
        remembered = self._lines
        for line in fields:
            action, lower, value = remembered.get(line) or self._understood(line)
            if action >= _KEEP_BACK:
                if lower in seen:
                    if lower in _ONCE:
                        raise BadRequest(400, "repeated")
                    seen[lower] += (b"; " if lower == b"cookie" else b",") + value
                else:
                    seen[lower] = value
                if action == _LOOK_AT:
                    lines.append(line)
            elif action == _PASS:
                lines.append(line)
        self._framing(request, seen)
        self._rest(request, seen)
        hop_by_hop = self._connection(request, seen)
        if hop_by_hop:
            lines = [line for line in lines if line.partition(b":")[0].lower() not in hop_by_hop]
        request.host = self._hosts.get(request.host_header) or self._host(request.host_header)
        request.may_come = siblings.may_come(request, self._config.origin(request.host).encode())
        request.fields = self._forwarded_fields(request, lines, seen.get(b"content-length"))
        return seen

    def _forwarded_fields(self, request: Request, lines: list[bytes], length: bytes | None) -> bytes:
        """What the service sees of them: what is its own, and what only the gateway says."""
        if request.chunked:
            lines.append(b"Transfer-Encoding: chunked")
        elif length is not None:
            lines.append(b"Content-Length: " + length)
        if request.expects:
            lines.append(b"Expect: 100-continue")
        if request.is_websocket:
            lines += (b"Connection: Upgrade", b"Upgrade: websocket")
        return b"\r\n".join(
            (
                b" HTTP/1.1",
                b"Host: " + request.host_header,
                *lines,
                b"X-Forwarded-Proto: " + self._scheme,
                b"X-Forwarded-Host: " + request.host_header,
            )
        )

    def _understood(self, line: bytes) -> tuple[int, bytes, bytes]:
        """What is done with a line; browsers send the same ones again and again."""
        name, _, value = line.partition(b":")
        lower = name.lower()
        action = _ACTIONS.get(lower, _PASS)
        if action == _PASS and _is_spoofed(lower):
            action = _DROP
        known = (action, lower, value.strip(b" \t"))
        if len(line) <= LONGEST_REMEMBERED and lower not in _PRIVATE:
            if len(self._lines) >= LINES_REMEMBERED:
                self._lines.clear()
            self._lines[line] = known
        return known

    def _framing(self, request: Request, seen: dict[bytes, bytes]) -> None:
        length = seen.get(b"content-length")
        coding = seen.get(b"transfer-encoding")
        if coding is not None:
            if length is not None or request.minor == 0:
                raise BadRequest(400, "length")
            if coding.strip().lower() != b"chunked":
                raise BadRequest(501, "coding")
            request.chunked = True
        elif length is not None:
            if not length.isdigit() or len(length) > _MOST_LENGTH_DIGITS:
                raise BadRequest(400, "length")
            request.length = int(length)
            if request.length > self._config.body_bytes:
                raise BadRequest(413, "too_long")
        request.has_body = request.chunked or request.length > 0

    def _rest(self, request: Request, seen: dict[bytes, bytes]) -> None:
        get = seen.get
        host = get(b"host")
        if host is None:
            raise BadRequest(400, "host")
        request.host_header = host
        request.origin = get(b"origin")
        request.site = get(b"sec-fetch-site")
        request.mode = get(b"sec-fetch-mode")
        request.dest = get(b"sec-fetch-dest")
        request.accept = get(b"accept", b"").lower()
        request.content_type = get(b"content-type", b"").lower()
        request.authorization = get(b"authorization", b"")
        request.websocket_protocol = get(b"sec-websocket-protocol", b"")
        request.service_worker = b"service-worker" in seen
        if request.method in {b"CONNECT", b"TRACE"} or not _METHOD(request.method):
            raise BadRequest(405, "method")
        expect = get(b"expect")
        if expect is not None:
            if expect.strip().lower() != b"100-continue":
                raise BadRequest(417, "expect")
            if request.minor and request.has_body:
                request.expects = True
        request.forwarded_for = get(b"x-forwarded-for")
        request.is_navigation = _is_navigation(request)
        request.is_act = request.is_navigation or request.method not in SAFE

    def _connection(self, request: Request, seen: dict[bytes, bytes]) -> set[bytes]:
        """The names of what is for this hop alone (RFC 9110, 7.6.1)."""
        given = seen.get(b"connection")
        upgrade = seen.get(b"upgrade")
        named: set[bytes] = set()
        if given is not None:
            named = {one.strip() for one in given.lower().split(b",")}
        request.keep_alive = b"close" not in named and (request.minor == 1 or b"keep-alive" in named)
        hop_by_hop = named - {b"close", b"keep-alive", b"upgrade", b""}
        if hop_by_hop & {b"content-length", b"transfer-encoding", b"host", b"cookie"}:
            raise BadRequest(400, "connection")
        if upgrade is None and b"upgrade" not in named:
            return hop_by_hop
        key = seen.get(b"sec-websocket-key", b"")
        if (
            upgrade is None
            or upgrade.strip().lower() != b"websocket"
            or b"upgrade" not in named
            or request.method != b"GET"
            or request.minor != 1
            or request.has_body
            or seen.get(b"sec-websocket-version") != b"13"
            or not _KEY(key)
        ):
            raise BadRequest(400, "upgrade")
        request.is_websocket = True
        request.websocket_key = key
        return hop_by_hop

    def _host(self, given: bytes) -> str:
        found = _HOST(given)
        if found is None or b".." in given or given.rstrip(b"0123456789:").endswith(b"."):
            raise BadRequest(400, "host")
        port = found[2]
        named = self._config.port_suffix.lstrip(":") or DEFAULT_PORTS[self._config.scheme]
        if port is not None and port != named.encode():
            raise BadRequest(421, "host")
        host = found[1].lower().decode()
        if len(self._hosts) >= 10_000:
            self._hosts.clear()
        self._hosts[given] = host
        return host


def _is_navigation(request: Request) -> bool:
    """Whether a person asked for a document, as far as can be told."""
    if request.method not in {b"GET", b"HEAD"}:
        return False
    if request.mode is not None:
        return request.mode == b"navigate" and request.dest in {b"document", b"iframe", b"frame"}
    return b"text/html" in request.accept


def _is_spoofed(lower: bytes) -> bool:
    """Whether a name is one that only the gateway says; CGI, and so WSGI, reads `X_Forwarded_For` as `X-Forwarded-For`."""
    if b"_" in lower:
        lower = lower.replace(b"_", b"-")
        return lower in _ACTIONS or lower.startswith(_SPOOFED)
    return lower.startswith(_SPOOFED)
