"""The one way to an address that a customer has named (THREATS E2).

A call resolves the name once, refuses it if any answer is an address of ours or of nobody's, and connects to exactly the
addresses it has checked while TLS verifies the name. It follows no redirect, sends no cookie, takes no proxy, and is bounded
in time and size as a whole, however the other side drips. What was answered is the caller's, in memory, and is kept nowhere.

`ENVFORGE_EGRESS_ALLOWED_NETWORKS` names networks that may be reached besides, by plain http too; it is empty in production.
"""

import asyncio
import json
import socket
import ssl
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import SplitResult, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from django.conf import settings

from envforge.egress_addresses import Address, is_allowed, is_name, literal, may_be_reached

WITHIN_S = 5.0
LARGEST_ANSWER_BYTES = 64 * 1024
MAX_URL_LENGTH = 500
USER_AGENT = "EnvForge"
# A resolver that does not answer holds a thread until it gives up; it must hold nobody else's.
_RESOLVING = ThreadPoolExecutor(8, "egress-dns")


class Trouble(StrEnum):
    """Why there is no answer."""

    URL = "url"
    NAME = "name"
    ADDRESS = "address"
    CERTIFICATE = "certificate"
    NO_ANSWER = "no_answer"
    TOO_SLOW = "too_slow"
    TOO_LARGE = "too_large"
    REDIRECT = "redirect"


WORDS = {
    Trouble.URL: "This is no address that can be called: use https://, a name, and neither user nor password in it.",
    Trouble.NAME: "No name server knows this name.",
    Trouble.ADDRESS: "This name leads to an address that is not public, so it is not called.",
    Trouble.CERTIFICATE: "The certificate there is not valid for this name.",
    Trouble.NO_ANSWER: "Nobody answers there.",
    Trouble.TOO_SLOW: "The answer took too long.",
    Trouble.TOO_LARGE: "The answer is too long.",
    Trouble.REDIRECT: "It answers with another address. Name that one: redirects are not followed.",
}


class EgressRefused(Exception):
    """The call was not made, or came to nothing; with `NO_ANSWER` and `TOO_SLOW` it may have been done."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.value)
        self.trouble = trouble

    @property
    def words(self) -> str:
        return WORDS[self.trouble]


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered; printed, it shows the status alone."""

    status: int
    content: bytes = field(repr=False)

    def json(self) -> Any:
        """The content as JSON; None where it is none, or is nested deeper than anything honest."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            return None


def require_callable(url: str) -> str:
    """The URL, if its form is one that can be called at all; no name is resolved.

    Raises:
        EgressRefused: with `URL`.
    """
    _parts(url)
    return url


def call(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: Mapping[str, Any] | None = None,
    within_s: float = WITHIN_S,
    at_most_bytes: int = LARGEST_ANSWER_BYTES,
) -> Answer:
    """Make one request, and answer whatever status came back that is no redirect. Never inside an event loop or a transaction.

    Args:
        body: sent as JSON.
        within_s: for all of it, from the name to the last byte.

    Raises:
        EgressRefused
    """
    try:
        return asyncio.run(_bounded(method, url, headers or {}, body, within_s, at_most_bytes))
    except EgressRefused as refused:
        trouble = refused.trouble
    finally:
        del headers, body
    # Anew, without the frames that hold what was sent (THREATS K3).
    raise EgressRefused(trouble)


async def _bounded(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: Mapping[str, Any] | None,
    within_s: float,
    at_most_bytes: int,
) -> Answer:
    try:
        async with asyncio.timeout(within_s):
            parts = _parts(url)
            addresses = await _addresses(parts)
            return await _ask(method, url, addresses, headers, body, at_most_bytes)
    except TimeoutError:
        trouble = Trouble.TOO_SLOW
    except aiohttp.ClientConnectorCertificateError:
        trouble = Trouble.CERTIFICATE
    except (aiohttp.ClientError, OSError, ValueError):
        trouble = Trouble.NO_ANSWER
    raise EgressRefused(trouble)


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        raise EgressRefused(Trouble.URL) from None
    usable = (
        len(url) <= MAX_URL_LENGTH
        and url.isascii()
        and url.isprintable()
        and " " not in url
        and "\\" not in url
        and parts.scheme in {"https", "http"}
        and "@" not in parts.netloc
        and not parts.fragment
        and port != 0
        and (literal(host) is not None or is_name(host))
    )
    if not usable:
        raise EgressRefused(Trouble.URL)
    return parts


async def _addresses(parts: SplitResult) -> list[Address]:
    """The addresses of the host, each of them checked."""
    host = parts.hostname or ""
    spelled = literal(host)
    found = [spelled] if spelled is not None else await _resolved(host)
    networks = [ip_network(one) for one in settings.EGRESS_ALLOWED_NETWORKS]
    # One answer that is not public is enough: whoever answers so is no host of the public's.
    if not found or not all(may_be_reached(one, networks) for one in found):
        raise EgressRefused(Trouble.ADDRESS)
    if parts.scheme == "http" and not all(is_allowed(one, networks) for one in found):
        raise EgressRefused(Trouble.URL)
    return found


async def _resolved(host: str) -> list[Address]:
    loop = asyncio.get_running_loop()
    try:
        # Not by the loop's own threads, for which the end of the loop would wait.
        answers = await loop.run_in_executor(
            _RESOLVING, lambda: socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        )
    except (OSError, UnicodeError):
        raise EgressRefused(Trouble.NAME) from None
    return list(dict.fromkeys(ip_address(str(answer[4][0])) for answer in answers))


async def _ask(
    method: str,
    url: str,
    addresses: Sequence[Address],
    headers: Mapping[str, str],
    body: Mapping[str, Any] | None,
    at_most_bytes: int,
) -> Answer:
    connector = aiohttp.TCPConnector(
        resolver=_Pinned(addresses), use_dns_cache=False, ssl=_trust(), force_close=True
    )
    # Nothing compressed, whose size would be known too late.
    said = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers}
    async with (
        aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
        ) as session,
        session.request(method, url, headers=said, json=body, allow_redirects=False) as answer,
    ):
        if 300 <= answer.status < 400 and answer.status != 304:
            raise EgressRefused(Trouble.REDIRECT)
        content = bytearray()
        async for piece in answer.content.iter_any():
            content += piece
            if len(content) > at_most_bytes:
                raise EgressRefused(Trouble.TOO_LARGE)
        return Answer(answer.status, bytes(content))


class _Pinned(AbstractResolver):
    """Answers the checked addresses, whatever is asked: the name is not resolved a second time."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=str(one),
                port=port,
                family=socket.AF_INET if one.version == 4 else socket.AF_INET6,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for one in self._addresses
        ]

    async def close(self) -> None:
        """Nothing is held."""


@lru_cache(maxsize=1)
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()
