"""The door VMs come to: a small ASGI application beside Django's own stack (docs/decisions/0006-host-api.md).

It knows requests, sizes, threads and errors; the addresses and what they do are in `hosts.api`. No session, no cookie, no
form: whoever speaks here holds a token or is about to join. Nothing of a token, nonce or signature is logged.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

import structlog
from django.conf import settings
from prometheus_client import Counter
from pydantic import ValidationError

from envforge import metrics, request_id
from envforge.database_errors import as_unavailable
from envforge.errors import EnvForgeError, Unavailable
from envforge_protocol.host.base import (
    OLDEST_PROTOCOL,
    PROTOCOL,
    PROTOCOL_HEADER,
    Message,
    Problem,
    Revealing,
)
from hosts import tokens, versions
from hosts.errors import HostRefusal, NotRecognised, TooMany
from hosts.polls import WaitingRoom
from hosts.rates import Buckets
from hosts.threads import Threads

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
M = TypeVar("M", bound=Message)
T = TypeVar("T")

LONGEST_MESSAGE = 1024 * 1024
BODY_TIMEOUT_S = 20.0
MOST_KNOWN = 20_000
WORDS = {
    400: "request",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    422: "message",
    503: "unavailable",
}

log = structlog.get_logger(__name__)


class Refused(HostRefusal):
    """A request that cannot be read."""

    def __init__(self, status: int, title: str, detail: str, word: str = "request") -> None:
        super().__init__(word, detail)
        self.refused = (status, title)


class Gone(Exception):
    """Whoever asked has hung up."""


@dataclass(slots=True)
class Answer:
    """What is sent back: a message, nothing but a status, or lines without end for as long as somebody reads them."""

    message: Message | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    lines: AsyncIterator[bytes] | None = None

    def body(self) -> bytes:
        if self.message is None:
            return b""
        if isinstance(self.message, Revealing):
            return self.message.wire()
        return self.message.model_dump_json(exclude_none=isinstance(self.message, Problem)).encode()


class Doorway(Threads):
    """What the addresses of one API share, in one process: threads, and how often an unknown address may ask."""

    def __init__(self, *address_rate: Any) -> None:
        super().__init__()
        self.by_address = Buckets(*address_rate)

    def count_address(self, address: str) -> None:
        """Count a request of somebody who is not known yet. Raises TooMany."""
        require_rate(self.by_address.take(address))


class Door(Doorway):
    """The same for VMs, and who waits."""

    def __init__(self) -> None:
        super().__init__(*settings.HOST_RATES["address"])
        self._by_host = Buckets(*settings.HOST_RATES["host"])
        # Whose a token is, by digest: for waiting and counting alone. Whether it works is asked each time.
        self._known: OrderedDict[str, UUID] = OrderedDict()
        self.room = WaitingRoom(self.in_database)

    async def host_of(self, held: str, address: str) -> UUID:
        """Whose token this is, counted.

        Raises:
            NotRecognised, TooMany: it is nobody's; they ask too often.
        """
        digest = tokens.digest(held)
        host_id = self._known.get(digest)
        if host_id is None:
            # Only who is not known counts: many VMs may come from one address at once.
            require_rate(self.by_address.wait(address))
            try:
                host_id = await self.in_database(tokens.host_of, held)
            except NotRecognised:
                self.count_address(address)
                raise
            self._known[digest] = host_id
            if len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)
        require_rate(self._by_host.take(str(host_id)))
        return host_id

    async def close(self) -> None:
        await self.room.close()
        await super().close()


def require_rate(wait_s: float) -> None:
    """Raises TooMany where there is something to wait for."""
    if wait_s:
        raise TooMany(max(1, round(wait_s)))


class Request:
    """One request, read no further than it may be."""

    def __init__(self, door: Any, scope: Scope, receive: Receive) -> None:
        self.door = door
        self._scope = scope
        self._receive = receive
        self.address: str = (scope.get("client") or ("unknown", 0))[0]
        self.protocol = 0
        self._hung_up: asyncio.Task[None] | None = None

    def header(self, name: str) -> str:
        """The header's value, empty where there is none. Raises Refused: it stands twice."""
        found = [value for key, value in self._scope["headers"] if key == name.lower().encode()]
        if len(found) > 1:
            raise Refused(400, "Bad request", f"The header {name} stands twice.")
        return found[0].decode("latin-1") if found else ""

    @property
    def token(self) -> str:
        scheme, _, held = self.header("Authorization").partition(" ")
        return held.strip() if scheme.lower() == "bearer" else ""

    def whole_number(self, name: str, most: int) -> int:
        """A parameter of the query. Raises Refused: it is missing, stands twice, or is none."""
        query = parse_qsl(self._scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = [value for key, value in query if key == name]
        if (
            len(given) != 1
            or len(query) != 1
            or not (given[0].isascii() and given[0].isdigit())
            or int(given[0]) > most
        ):
            raise Refused(
                400, "Bad request", f"This address takes one parameter, {name}: a whole number up to {most}."
            )
        return int(given[0])

    async def message(self, kind: type[M]) -> M:
        """The body as a message. Raises Refused: it is none, or says something twice or unknown."""
        if self.header("Content-Type").partition(";")[0].strip().lower() != "application/json":
            raise Refused(415, "Unsupported media type", "Messages are application/json.")
        body = await self.body(LONGEST_MESSAGE)
        try:
            json.loads(body, object_pairs_hook=_each_once)
            return kind.model_validate_json(body)
        except ValidationError as error:
            wrong = error.errors(include_input=False, include_url=False, include_context=False)
            told = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'it'}: {one['msg']}" for one in wrong[:5])
            raise Refused(422, "Not this message", f"This is no {kind.__name__}: {told}", "message") from None
        except (ValueError, RecursionError):
            raise Refused(
                422, "Not this message", "The body is not JSON in which each name stands once.", "message"
            ) from None

    async def body(self, most: int) -> bytes:
        """The body. Raises Refused: it is too long or too slow; Gone."""
        parts, length = [], 0
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                while True:
                    event = await self._receive()
                    if event["type"] == "http.disconnect":
                        raise Gone
                    length += len(event.get("body", b""))
                    if length > most:
                        raise Refused(413, "Too long", f"At most {most} bytes are taken at once.", "too_long")
                    parts.append(event.get("body", b""))
                    if not event.get("more_body"):
                        return b"".join(parts)
        except TimeoutError:
            raise Refused(408, "Too slow", "The body did not arrive in time.") from None

    async def unless_gone(self, waiting: Coroutine[Any, Any, T]) -> T:
        """Wait for something for as long as somebody waits for the answer. Raises Gone."""
        if self._hung_up is None:
            self._hung_up = asyncio.create_task(self._until_gone())
        task = asyncio.create_task(waiting)
        try:
            await asyncio.wait({task, self._hung_up}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise Gone
            return task.result()
        finally:
            task.cancel()

    @property
    def is_gone(self) -> bool:
        return self._hung_up is not None and self._hung_up.done()

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def end(self) -> None:
        if self._hung_up is not None:
            self._hung_up.cancel()
            with suppress(asyncio.CancelledError):
                await self._hung_up


Handler = Callable[..., Awaitable[Answer]]
Find = Callable[[str, str], tuple[str, Handler, dict[str, Any]]]


class HostApplication:
    """The ASGI application: finds the address, answers, and turns errors into problems."""

    def __init__(
        self, find: Find, make_door: Callable[[], Doorway] = Door, counter: Counter = metrics.HOST_REQUESTS
    ) -> None:
        self._find = find
        self._make_door = make_door
        self._counter = counter
        self._door: Doorway | None = None

    @property
    def door(self) -> Doorway:
        """Made at the first request, on its event loop."""
        if self._door is None:
            self._door = self._make_door()
        return self._door

    async def close(self) -> None:
        if self._door is not None:
            await self._door.close()
            self._door = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id.begin()
        request = Request(self.door, scope, receive)
        route = "unknown"
        try:
            try:
                _require_https(request, scope)
                route, handler, arguments = self._find(scope["method"], scope["path"])
                request.protocol = versions.spoken(request.header(PROTOCOL_HEADER))
                answer = await handler(request, **arguments)
                if answer.lines is not None:
                    self._counter.labels(route=route, status=str(answer.status)).inc()
                    await request.unless_gone(_send_lines(send, answer, answer.lines))
                    return
            except Gone:
                return
            except Exception as error:  # noqa: BLE001 - every error becomes an answer
                answer = _problem(error)
            finally:
                await request.end()
            self._counter.labels(route=route, status=str(answer.status)).inc()
            await _send(send, answer)
        finally:
            request_id.end()


def _require_https(request: Request, scope: Scope) -> None:
    secure = scope.get("scheme") == "https" or request.header("X-Forwarded-Proto") == "https"
    if settings.PRODUCTION and not secure:
        raise Refused(
            403,
            "Not over plain http",
            "Speak https: a token that went over plain http is no secret any more.",
        )


def _problem(error: Exception) -> Answer:
    error = as_unavailable(error) or error
    if not isinstance(error, EnvForgeError):
        log.error("host.api.broke", exc_info=error)
        return _told(
            500,
            "Internal Server Error",
            "Something broke on our side. It has been recorded; try again.",
            "internal",
        )
    status, title = error.refused if isinstance(error, Refused) else (error.status, error.title)
    word = error.word if isinstance(error, HostRefusal) else WORDS.get(status, "request")
    answer = _told(status, title, error.detail, word)
    if isinstance(error, versions.VersionNotSpoken):
        answer.message = _extended(
            answer, instruction=error.instruction, oldest=OLDEST_PROTOCOL, newest=PROTOCOL
        )
    if isinstance(error, TooMany):
        answer.headers["Retry-After"] = str(error.wait_s)
    elif isinstance(error, Unavailable):
        answer.headers["Retry-After"] = str(error.RETRY_AFTER_S)
    next_offset = getattr(error, "next_offset", None)
    if next_offset is not None:
        answer.message = _extended(answer, next_offset=next_offset)
    return answer


def _told(status: int, title: str, detail: str, word: str) -> Answer:
    problem = Problem(title=title, status=status, detail=detail, request_id=request_id.current(), word=word)
    return Answer(problem, status)


def _extended(answer: Answer, **more: Any) -> Message:
    assert answer.message is not None  # noqa: S101 - problems have a body
    return answer.message.model_copy(update=more)


async def _send_lines(send: Send, answer: Answer, lines: AsyncIterator[bytes]) -> None:
    headers = [
        (b"content-type", b"application/x-ndjson"),
        (b"cache-control", b"no-store"),
        (PROTOCOL_HEADER.lower().encode(), str(PROTOCOL).encode()),
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    try:
        async for line in lines:
            await send({"type": "http.response.body", "body": line, "more_body": True})
    except Exception as error:  # noqa: BLE001 - whoever reads begins anew when the lines end
        log.warning("host.api.lines_ended", reason=type(error).__name__)
    await send({"type": "http.response.body", "body": b""})


async def _send(send: Send, answer: Answer) -> None:
    body = answer.body()
    kind = "application/problem+json" if isinstance(answer.message, Problem) else "application/json"
    headers = {
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        PROTOCOL_HEADER.lower(): str(PROTOCOL),
        request_id.HEADER.lower(): request_id.current(),
        **({"content-type": kind} if body else {}),
        **{name.lower(): value for name, value in answer.headers.items()},
    }
    if answer.status == 204:
        del headers["content-length"]
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found
