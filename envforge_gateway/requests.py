"""One request's head: read by llhttp, then refused where it could be read in two ways (THREATS G3, RFC 9112)."""

import hashlib
import re
from ipaddress import IPv4Address, IPv6Address, ip_address

import httptools

from envforge_gateway import paths
from envforge_gateway.config import Config
from envforge_gateway.errors import BadRequest
from envforge_protocol.gateway.base import is_opaque

SESSION_COOKIE = "__Host-envforge"
STATE_COOKIE = "__Host-envforge-state"
SHARE_COOKIE = "__Host-envforge-share"
_OWN = (b"__Host-envforge",)

SAFE = frozenset({b"GET", b"HEAD", b"OPTIONS"})
_METHOD = re.compile(rb"[A-Z][A-Z-]{0,31}").fullmatch
_HOST = re.compile(rb"([A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?)\.?(?::([0-9]{1,5}))?").fullmatch
_CLEAN = re.compile(rb"[\t\r\n\x20-\x7e\x80-\xff]*").fullmatch
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL).fullmatch
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


class Request:
    """A request as it was understood: what is decided by, and the lines its service will see."""

    # Most requests change few of these.
    length = 0
    chunked = False
    is_websocket = False
    expects = False
    digest: bytes | None = None
    accept = content_type = authorization = websocket_protocol = websocket_key = b""
    origin: bytes | None = None
    site: bytes | None = None
    mode: bytes | None = None
    dest: bytes | None = None
    service_worker = False
    method = path = query = host_header = b""
    host = ""
    client = ""
    minor = 1
    keep_alive = True

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.other_cookies: dict[str, str] = {}

    @property
    def has_body(self) -> bool:
        return self.chunked or self.length > 0

    @property
    def is_navigation(self) -> bool:
        """Whether a person asked for a document, as far as can be told."""
        if self.method not in {b"GET", b"HEAD"}:
            return False
        if self.mode is not None:
            return self.mode == b"navigate" and self.dest in {b"document", b"iframe", b"frame"}
        return b"text/html" in self.accept

    @property
    def wants_page(self) -> bool:
        """Whether whoever asked can show a page; everybody else gets JSON."""
        if self.mode is not None and self.mode != b"navigate":
            return False
        return b"text/html" in self.accept

    @property
    def is_by_browser(self) -> bool:
        return self.site is not None or self.mode is not None or self.origin is not None


class _Head:
    """What llhttp calls back."""

    __slots__ = ("begun", "url")

    def __init__(self) -> None:
        self.begun = 0
        self.url = b""

    def on_message_begin(self) -> None:
        self.begun += 1

    def on_url(self, url: bytes) -> None:
        self.url += url


class Reader:
    """Reads heads as one configuration has it."""

    def __init__(self, config: Config) -> None:
        self._most_fields = config.head_fields
        self._config = config
        self._hosts: dict[bytes, str] = {}
        self._lines: dict[bytes, tuple[int, bytes, bytes]] = {}

    def read(self, head: bytes, peer: str, trusted: bool) -> Request:
        """The request that `head`, up to and with its empty line, is.

        Raises:
            BadRequest: it is none, or could be read as another.
        """
        lines = head.count(b"\n")
        if head.count(b"\r\n") != lines or head.count(b"\r") != lines or not _CLEAN(head):
            raise BadRequest(400, "line")
        if lines - 2 > self._most_fields:
            raise BadRequest(431, "fields")
        if b"\r\n " in head or b"\r\n\t" in head:
            raise BadRequest(400, "folding")
        found = _Head()
        parser = httptools.HttpRequestParser(found)
        try:
            parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            pass
        except (httptools.HttpParserError, ValueError):
            raise BadRequest(400, "request") from None
        if found.begun != 1:
            raise BadRequest(400, "request")
        request = Request()
        request.method = parser.get_method()
        version = parser.get_http_version()
        if version not in {"1.1", "1.0"}:
            raise BadRequest(505, "version")
        request.minor = int(version[2])
        request.client = peer
        self._fields(request, head[:-4].split(b"\r\n")[1:], trusted)
        self._target(request, found.url)
        return request

    def _fields(self, request: Request, fields: list[bytes], trusted: bool) -> None:
        # llhttp has found each line to be a field; taken from here, a line that goes on is not put together again.
        lines = request.lines
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
        if b"cookie" in seen:
            left = self._cookies(request, seen[b"cookie"])
            if left:
                request.lines.append(b"Cookie: " + left)
        if trusted and b"x-forwarded-for" in seen:
            request.client = self._forwarded(seen[b"x-forwarded-for"], request.client)

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
            request.lines.append(b"Transfer-Encoding: chunked")
        elif length is not None:
            if not length.isdigit() or len(length) > _MOST_LENGTH_DIGITS:
                raise BadRequest(400, "length")
            request.length = int(length)
            if request.length > self._config.body_bytes:
                raise BadRequest(413, "too_long")
            request.lines.append(b"Content-Length: " + length)

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
                request.lines.append(b"Expect: 100-continue")
        self._connection(request, seen)

    def _connection(self, request: Request, seen: dict[bytes, bytes]) -> None:
        given = seen.get(b"connection")
        upgrade = seen.get(b"upgrade")
        named: set[bytes] = set()
        if given is not None:
            named = {one.strip() for one in given.lower().split(b",")}
        request.keep_alive = b"close" not in named and (request.minor == 1 or b"keep-alive" in named)
        hop_by_hop = named - {b"close", b"keep-alive", b"upgrade", b""}
        if hop_by_hop:
            if hop_by_hop & {b"content-length", b"transfer-encoding", b"host", b"cookie"}:
                raise BadRequest(400, "connection")
            request.lines = [
                line for line in request.lines if line.partition(b":")[0].lower() not in hop_by_hop
            ]
        if upgrade is None and b"upgrade" not in named:
            return
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

    def _target(self, request: Request, url: bytes) -> None:
        target = url
        if url[:1] != b"/":
            absolute = _ABSOLUTE(url)
            if absolute is None:
                raise BadRequest(400, "target")
            # RFC 9112, 3.2.2 lets the target win; two answers to who is meant are one too many.
            if absolute[1].lower() != request.host_header.lower():
                raise BadRequest(400, "host")
            target = absolute[2] if absolute[2][:1] == b"/" else b"/" + absolute[2]
        request.path, request.query = paths.split(target)
        host = self._hosts.get(request.host_header)
        if host is None:
            host = self._host(request.host_header)
        request.host = host

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

    def _cookies(self, request: Request, value: bytes) -> bytes:
        if _OWN[0] not in value:
            return value
        kept = []
        for pair in value.split(b";"):
            name, _, held = pair.strip().partition(b"=")
            if not name.startswith(_OWN):
                if pair.strip():
                    kept.append(pair.strip())
                continue
            text = held.decode("latin-1")
            spelled = name.decode("latin-1")
            if spelled != SESSION_COOKIE:
                request.other_cookies[spelled] = text
            elif is_opaque(text):
                digest = hashlib.sha256(held).digest()
                if request.digest not in {None, digest}:
                    raise BadRequest(400, "cookie")
                request.digest = digest
        return b"; ".join(kept)

    def _forwarded(self, value: bytes, peer: str) -> str:
        """The last address in the list that is no peer of ours."""
        client = peer
        for one in reversed(value.decode("latin-1").split(",")):
            try:
                address: IPv4Address | IPv6Address = ip_address(one.strip())
            except ValueError:
                break
            client = str(address)
            if not self._config.trusts(address):
                break
        return client


def _is_spoofed(lower: bytes) -> bool:
    """Whether a name is one that only the gateway says; CGI, and so WSGI, reads `X_Forwarded_For` as `X-Forwarded-For`."""
    if b"_" in lower:
        lower = lower.replace(b"_", b"-")
        return lower in _ACTIONS or lower.startswith(_SPOOFED)
    return lower.startswith(_SPOOFED)
