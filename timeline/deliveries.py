"""Handing out an export over HTTP (docs/decisions/0004-exports.md).

A view answers an `Order`; the door around it makes the export in a thread of its own and sends the file. Under ASGI
Django reads an ordinary iterator whole into memory before it sends it, so the file is read by an asynchronous one.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, BinaryIO

import structlog
from asgiref.sync import sync_to_async
from django.core.cache import cache
from django.core.handlers.asgi import ASGIRequest
from django.db import connection
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from redis.exceptions import RedisError

from audit.filters import Filter
from envforge.actor import Actor
from envforge.errors import Unavailable
from timeline.exports import make_export
from timeline.files import file_name
from timeline.limits import Abandoned, Listener, Made
from timeline.rows import Form

AT_ONCE = 2
WAITING = 8
# Of one actor, so that nobody takes every place.
OF_ONE = 2
CHUNK_BYTES = 256 * 1024
PROGRESS_KEPT_S = 600

log = structlog.get_logger(__name__)
_makers = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="export")
_counting = threading.Lock()
_of_each: Counter[str] = Counter()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an export is; `state` is waiting, making, made or failed."""

    state: str
    passed: int = 0
    size: int = 0


class Order(HttpResponse):
    """Asks the door for an export; never sent itself. `make` runs in another thread, and asks policy there."""

    def __init__(
        self,
        *,
        actor: Actor,
        make: Callable[[Listener], Made],
        file_name: str,
        file_type: str,
        progress: str = "",
    ) -> None:
        super().__init__(status=500)
        self.actor = actor
        self.make = make
        self.file_name = file_name
        self.file_type = file_type
        # The name under which its progress can be asked for, if it has one.
        self.progress = progress


def timeline_order(*, actor: Actor, slug: str, wanted: Filter, form: Form, progress: str = "") -> Order:
    """The order of an organization's timeline."""
    make = partial(make_export, actor=actor, slug=slug, wanted=wanted, form=form)
    return Order(
        actor=actor,
        make=lambda tell: make(tell=tell),
        file_name=file_name(form, slug),
        file_type=form.content_type,
        progress=progress,
    )


def delivers(view: Callable[..., HttpResponseBase]) -> Callable[..., Coroutine[Any, Any, HttpResponseBase]]:
    """Send the export that the view orders; any other answer is sent as it is."""

    @wraps(view)
    async def door(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = await sync_to_async(view)(request, *args, **kwargs)
        if not isinstance(response, Order):
            return response
        made = await _made(response)
        chunks = _Flowing(made.file) if isinstance(request, ASGIRequest) else _Read(made.file)
        delivery = StreamingHttpResponse(chunks, content_type=response.file_type)
        delivery["Content-Length"] = str(made.size_bytes)
        delivery["Content-Disposition"] = f'attachment; filename="{response.file_name}"'
        return delivery

    return door


def progress_of(actor: Actor, name: str) -> Progress:
    """How far the actor's export of this name is; `waiting` if nothing is known of it."""
    try:
        return Progress(*cache.get(_key(actor, name), ("waiting",)))
    except RedisError:
        return Progress("waiting")


async def _made(order: Order) -> Made:
    """The export, made in a thread of its own; whoever stops waiting for it ends it."""
    _take_place(order.actor)
    abandoned = threading.Event()
    making = _makers.submit(copy_context().run, _make, order, abandoned)
    making.add_done_callback(lambda _: _leave_place(order.actor))
    try:
        return await asyncio.wrap_future(making)
    except asyncio.CancelledError:
        abandoned.set()
        raise


def _take_place(actor: Actor) -> None:
    """Count one more export of the actor's.

    Raises:
        Unavailable: this actor, or all together, have as many exports as are made at once.
    """
    who = f"{actor.kind}:{actor.id}"
    with _counting:
        if _of_each[who] >= OF_ONE:
            raise Unavailable(f"{OF_ONE} exports of yours are being made. Wait for one of them.")
        if _of_each.total() >= AT_ONCE + WAITING:
            raise Unavailable("Many exports are being made at the moment. Try again in a minute.")
        _of_each[who] += 1


def _leave_place(actor: Actor) -> None:
    with _counting:
        who = f"{actor.kind}:{actor.id}"
        _of_each[who] -= 1
        if not _of_each[who]:
            del _of_each[who]


def _make(order: Order, abandoned: threading.Event) -> Made:
    """Runs from beginning to end in one thread: the entered organization, the cursor and the connection belong to it."""

    def tell(passed: int, size: int) -> None:
        if abandoned.is_set():
            raise Abandoned
        _tell(order, Progress("making", passed, size))

    try:
        made = order.make(tell)
        if abandoned.is_set():
            made.file.close()
        _tell(order, Progress("made", made.rows, made.rows))
    except BaseException:
        _tell(order, Progress("failed"))
        raise
    finally:
        connection.close()
    return made


def _tell(order: Order, progress: Progress) -> None:
    if not order.progress:
        return
    told = (progress.state, progress.passed, progress.size)
    try:
        cache.set(_key(order.actor, order.progress), told, timeout=PROGRESS_KEPT_S)
    except RedisError as error:
        log.warning("export.progress_lost", reason=type(error).__name__)


def _key(actor: Actor, name: str) -> str:
    return f"export:{actor.kind}:{actor.id}:{name}"


class _Chunks:
    """The file, piece by piece; Django closes it with the response, whether or not anybody read."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def close(self) -> None:
        self.file.close()


class _Read(_Chunks):
    def __iter__(self) -> Iterator[bytes]:
        while chunk := self.file.read(CHUNK_BYTES):
            yield chunk


class _Flowing(_Chunks):
    """The next piece is read when the client has taken the last one."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await asyncio.to_thread(self.file.read, CHUNK_BYTES):
            yield chunk
