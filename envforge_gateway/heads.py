"""One request's head: read by llhttp, then refused where it could be read in two ways (THREATS G3, RFC 9112)."""

import hashlib
import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import httptools

from envforge_gateway import paths
from envforge_gateway.config import Config
from envforge_gateway.errors import BadRequest
from envforge_gateway.fields import Fields
from envforge_gateway.requests import DEFAULTS, SESSION_COOKIE, Request
from envforge_protocol.gateway.base import is_opaque

_OWN = b"__Host-envforge"
# What nearly every request begins with, without anything to normalize; each part is one that llhttp takes.
_USUAL_START = re.compile(
    rb"([A-Z]+) (" + paths.PLAIN + rb")((?:\?[\x21\x24-\x7e]*)?) HTTP/1\.1(?=\r\n)"
).match
_USUAL_COOKIES = re.compile(rb"[\t\x20-\x7e\x80-\xff]*").fullmatch
_SESSION = re.compile(SESSION_COOKIE.encode() + rb"=([A-Za-z0-9_-]{43})(?=;|\Z)").search
_COOKIES = b"\r\nCookie: "
_CLEAN = re.compile(rb"[\t\r\n\x20-\x7e\x80-\xff]*").fullmatch
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL).fullmatch

HEADS_REMEMBERED = 2048
LONGEST_HEAD_REMEMBERED = 2048


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
        self._fields = Fields(config)
        self._heads: dict[tuple[bytes, bytes, bytes], dict[str, Any]] = {}

    def read(self, head: bytes, peer: str, trusted: bool) -> Request:
        """The request that `head`, up to and with its empty line, is.

        A connection says nearly the same with each request. What follows from method and fields alone is kept, under all of their
        bytes; the target and the cookies are read anew each time, and anything unusual about them makes the whole head be.

        Raises:
            BadRequest: it is none, or could be read as another.
        """
        start = _USUAL_START(head)
        if start is None:
            return self._whole(head, None, b"", peer, trusted)
        method, path, query = start.groups()
        before, cookied, after = head[start.end() :].partition(_COOKIES)
        cookies, _, after = after.partition(b"\r\n")
        # Only with cookies does anything come after them: an empty line at least.
        key = (method, before, after)
        known = self._heads.get(key)
        if known is None or not _USUAL_COOKIES(cookies):
            return self._whole(head, key, cookies if cookied else None, peer, trusted)
        request = Request()
        request.__dict__ = known.copy()
        request.path = path
        request.query = query
        return self._by_whom(request, cookies.strip(b" \t"), peer, trusted)

    def _whole(
        self,
        head: bytes,
        key: tuple[bytes, bytes, bytes] | None,
        cookies: bytes | None,
        peer: str,
        trusted: bool,
    ) -> Request:
        """The request, read by llhttp; remembered where `cookies` are the only ones, and nothing else in it is private."""
        request, url = self._parsed(head)
        seen = self._fields.understand(request, head[:-4].split(b"\r\n")[1:])
        if (
            key is not None
            and seen.get(b"cookie") == (None if cookies is None else cookies.strip(b" \t"))
            and not request.authorization
            and not request.is_websocket
            and len(key[1]) + len(key[2]) <= LONGEST_HEAD_REMEMBERED
        ):
            if len(self._heads) >= HEADS_REMEMBERED:
                self._heads.clear()
            self._heads[key] = {**DEFAULTS, **request.__dict__}
        self._target(request, url)
        return self._by_whom(request, seen.get(b"cookie", b""), peer, trusted)

    def _parsed(self, head: bytes) -> tuple[Request, bytes]:
        """Method and version as llhttp reads them, and the target."""
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
        return request, found.url

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

    def _by_whom(self, request: Request, cookies: bytes, peer: str, trusted: bool) -> Request:
        if cookies:
            self._cookies(request, cookies)
        request.client = peer
        if trusted and request.forwarded_for is not None:
            request.client = self._forwarded(request.forwarded_for, peer)
        return request

    def _cookies(self, request: Request, value: bytes) -> None:
        """Take out what is the gateway's; the rest is the app's."""
        own = value.count(_OWN)
        session = _SESSION(value) if own == 1 else None
        before = value[: session.start()] if session is not None else b""
        if session is not None and (not before or before[-2:] == b"; "):
            request.digest = hashlib.sha256(session[1]).digest()
            value = (before[:-2] + value[session.end() :]).lstrip(b"; ")
        elif own:
            value = self._sorted_out(request, value)
        if value:
            request.cookies = _COOKIES + value

    def _sorted_out(self, request: Request, value: bytes) -> bytes:
        kept = []
        others: dict[str, str] = {}
        for pair in value.split(b";"):
            name, _, held = pair.strip().partition(b"=")
            if not name.startswith(_OWN):
                if pair.strip():
                    kept.append(pair.strip())
                continue
            text = held.decode("latin-1")
            spelled = name.decode("latin-1")
            if spelled != SESSION_COOKIE:
                others[spelled] = text
            elif is_opaque(text):
                digest = hashlib.sha256(held).digest()
                if request.digest not in {None, digest}:
                    raise BadRequest(400, "cookie")
                request.digest = digest
        request.other_cookies = others
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
