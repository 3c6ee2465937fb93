"""One request and its answer: decided, sent on, and carried back (L3, THREATS G1)."""

import asyncio
import errno
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from envforge_gateway import answers, paths
from envforge_gateway.answers import Answer
from envforge_gateway.body import Body
from envforge_gateway.cache import Entry
from envforge_gateway.clock import now
from envforge_gateway.errors import BadRequest, Unavailable
from envforge_gateway.plans import Plan
from envforge_gateway.relay import Relay
from envforge_gateway.requests import Request
from envforge_gateway.upstream import Pool, Upstream

if TYPE_CHECKING:
    from envforge_gateway.front import Front

NEVER = float("inf")
LONGEST_FORM = 16_384
_MOST_TRIES = 4


class Exchange:
    """From the request's head to the last byte of its answer; registered under its session while bytes may pass."""

    __slots__ = (
        "_answered",
        "_body",
        "_form",
        "_task",
        "_tries",
        "entry",
        "front",
        "gateway",
        "relay",
        "request",
        "wants_body",
    )

    def __init__(self, front: "Front", request: Request) -> None:
        self.front = front
        self.gateway = front.gateway
        self.request = request
        self.entry: Entry | None = None
        self.relay: Relay | None = None
        self._body = Body(request, self.gateway.config.body_bytes) if request.has_body else None
        # Whether more of the request's body is to come.
        self.wants_body = request.has_body
        self._answered = False
        self._form: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._tries = 0

    # Deciding

    def begin(self) -> None:
        """Decide now if everything is known, else as soon as it is."""
        request, gateway = self.request, self.gateway
        gateway.metrics.requests += 1
        if request.host == gateway.domain:
            self._later(gateway.bare.answer(self))
            return
        if not request.host.endswith(gateway.below):
            self.reply(answers.problem(request, 421, "host"))
            return
        if paths.is_reserved(request.path):
            self._later(gateway.reserved.answer(self))
            return
        if not request.may_come:
            self.deny("sibling")
            return
        self.decide()

    def decide(self) -> None:
        """Look the session up, or ask for it."""
        request, gateway = self.request, self.gateway
        if request.digest is None:
            self.reply(gateway.pages.refused(request, "no_session"))
            return
        if not gateway.freshness.may_serve:
            self.reply(answers.unavailable(request))
            return
        entry = gateway.cache.get(request.digest, request.host)
        if entry is None:
            self._later(self._resolve(request.digest))
        else:
            self._admit(entry)

    async def _resolve(self, digest: bytes) -> None:
        try:
            found = await self.gateway.resolver.resolve(digest, self.request.host)
        except Unavailable:
            self.reply(answers.unavailable(self.request))
            return
        if isinstance(found, str):
            self.reply(self.gateway.pages.refused(self.request, found))
        elif not found.cached:
            # Purged between its answer and now: whatever was opened under it no later purge would find.
            self._again()
        elif not self.gateway.freshness.may_serve:
            self.reply(answers.unavailable(self.request))
        else:
            self._admit(found)

    def _admit(self, entry: Entry) -> None:
        """The session holds: is this request within it?"""
        request, gateway, plan = self.request, self.gateway, entry.plan
        self.entry = entry
        if plan is None:
            self.reply(answers.unavailable(request))
            return
        try:
            request.path, admitted, pool = plan.route(request.path, is_websocket=request.is_websocket)
        except BadRequest as bad:
            self.deny(bad.word, status=bad.status)
            return
        if not admitted:
            self.deny("surface")
            return
        if (
            len(entry.open) >= gateway.config.connections_per_session
            or entry.of_link.open >= gateway.config.connections_per_link
        ):
            gateway.metrics.refused["limit"] += 1
            self.reply(answers.problem(request, 429, "limit", retry_after_s=5))
            return
        gateway.activity.request(entry, request)
        if plan.epoch is None:
            self._later(self._wake(entry, plan))
            return
        if pool is None:
            self.reply(gateway.pages.broken(request, 502, "no_service"))
            return
        upstream = pool.take()
        if upstream is not None:
            self._carry(entry, upstream)
        else:
            self._later(self._connect(entry, pool))

    async def _wake(self, entry: Entry, plan: Plan) -> None:
        answer = await self.gateway.waker.answer(entry, plan, self.request)
        if answer is None:
            # It has woken, or something about the session changed.
            self._again()
        else:
            self.reply(answer)

    def _again(self) -> None:
        self._tries += 1
        if self._tries > _MOST_TRIES:
            self.reply(answers.unavailable(self.request))
        else:
            self.decide()

    async def _connect(self, entry: Entry, pool: Pool) -> None:
        try:
            upstream = await pool.connect(self.gateway.config.connect_timeout_s)
        except TimeoutError:
            self.gateway.metrics.upstream_errors["connect_timeout"] += 1
            self.reply(self.gateway.pages.broken(self.request, 504, "connect_timeout"))
        except OSError as error:
            if not entry.cached or pool.withdrawn:
                self.gateway.cache.drop(entry)
                self._again()
                return
            kind = errno.errorcode.get(error.errno or 0, "other").lower()
            self.gateway.metrics.upstream_errors[f"connect_{kind}"] += 1
            self.reply(self.gateway.pages.broken(self.request, 502, "connect"))
        else:
            if self.front.closed:
                upstream.give_back()
            elif not entry.cached or not self.gateway.freshness.may_serve:
                # Purged meanwhile: what was decided is decided again.
                upstream.give_back()
                self._again()
            else:
                self._carry(entry, upstream)

    # Carrying

    def _carry(self, entry: Entry, upstream: Upstream) -> None:
        entry.opened(self)
        self.relay = relay = Relay(self, upstream)
        relay.begin()
        config = self.gateway.config
        self.front.deadline = now() + (
            config.body_timeout_s if self.wants_body else config.first_byte_timeout_s
        )
        if self._body is not None:
            self.take_body()
            # More may have come meanwhile than waits here: then reading has paused.
            self.front.check_waiting()

    def again_on_new_connection(self) -> None:
        """The pooled connection had been closed by the service before it saw the request."""
        entry, self.relay = self.entry, None
        if entry is None or entry.plan is None:
            return
        self.gateway.cache.closed(entry, self)
        pool = entry.plan.pool_for(self.request.path)
        if pool is None or not entry.cached:
            self._again()
        else:
            self._later(self._connect(entry, pool))

    @property
    def is_upstream_full(self) -> bool:
        return self.relay is not None and self.relay.is_full

    async def form(self) -> dict[str, str]:
        """The fields of a form that was sent to the gateway itself; empty if it is none, or too long for one."""
        request, front, body = self.request, self.front, self._body
        if (
            body is None
            or request.chunked
            or request.length > LONGEST_FORM
            or not request.content_type.startswith(b"application/x-www-form-urlencoded")
        ):
            return {}
        if request.expects:
            front.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        front.deadline = now() + self.gateway.config.body_timeout_s
        if len(front.buffer) < request.length:
            self._form = asyncio.get_running_loop().create_future()
            await self._form
        front.deadline = NEVER
        text = body.feed(front.buffer)
        self.wants_body = not body.done
        front.buffer = body.rest
        try:
            return dict(parse_qsl(text.decode("ascii"), keep_blank_values=True, max_num_fields=8))
        except ValueError:
            return {}

    def take_body(self) -> None:
        """Send on what has come of the request's body."""
        if self._form is not None:
            if len(self.front.buffer) >= self.request.length and not self._form.done():
                self._form.set_result(None)
            return
        body, relay, front = self._body, self.relay, self.front
        if body is None or body.done or relay is None or not front.buffer:
            return
        data, front.buffer = front.buffer, b""
        try:
            out = body.feed(data)
        except BadRequest as bad:
            relay.drop()
            if relay.has_begun:
                self.cut()
            else:
                self.reply(answers.problem(self.request, bad.status, bad.word))
            return
        self.wants_body = not body.done
        if out:
            relay.send(out)
        if not self.wants_body:
            front.buffer = body.rest
            front.deadline = now() + self.gateway.config.first_byte_timeout_s
        elif not relay.is_full:
            front.deadline = now() + self.gateway.config.body_timeout_s

    def answered(self) -> None:
        """The last byte of the service's answer is written."""
        if self.entry is not None:
            self.gateway.cache.closed(self.entry, self)
        self.front.done(keep=self.request.keep_alive and not self.wants_body)

    def reply(self, answer: Answer) -> None:
        """Answer by ourselves."""
        if self._answered:
            return
        self._answered = True
        self._task = None
        if self.entry is not None:
            self.gateway.cache.closed(self.entry, self)
        if self._body is not None and not self._body.done and self.front.buffer and not self._body.begun:
            self._skip_body()
        keep = self.request.keep_alive and not self.wants_body and not answer.closes
        self.gateway.metrics.answers[answer.status] += 1
        self.front.send(answer.wire(self.request, keep=keep and not self.gateway.draining))
        self.front.done(keep=keep)

    def _skip_body(self) -> None:
        body, front = self._body, self.front
        if body is None:
            return
        try:
            body.feed(front.buffer)
        except BadRequest:
            return
        self.wants_body = not body.done
        front.buffer = body.rest

    def deny(self, word: str, *, status: int = 403) -> None:
        """The session does not reach so far; counted for the audit where there is a session."""
        if self.entry is not None:
            self.gateway.activity.denied(self.entry, word)
        self.gateway.metrics.refused[word] += 1
        self.reply(self.gateway.pages.denied(self.request, status, word))

    def failed(self, status: int, word: str) -> None:
        """The service gave no answer, or none that can be passed on."""
        self.gateway.metrics.upstream_errors[word] += 1
        self.relay = None
        self.reply(self.gateway.pages.broken(self.request, status, word))

    def overdue(self) -> None:
        """Somebody took too long: the service, or the client."""
        relay = self.relay
        if relay is None:
            # Questions to others have bounds of their own; what is waited for is the client's form.
            if self._form is not None and not self._form.done():
                self._cancel()
                self.reply(answers.problem(self.request, 408, "slow"))
            return
        if relay.has_begun:
            if self.front.is_full or self.wants_body:
                self.gateway.metrics.refused["slow"] += 1
                self.cut()
            return
        relay.drop()
        if self.wants_body and not relay.is_full:
            self.gateway.metrics.refused["slow"] += 1
            self.reply(answers.problem(self.request, 408, "slow"))
        else:
            self.failed(504, "first_byte_timeout")

    # Ends

    def shut(self) -> None:
        """Nothing more for the client."""
        self.front.shut()

    def cut(self) -> None:
        """End both sides at once."""
        self._cancel()
        relay, self.relay = self.relay, None
        if relay is not None:
            relay.drop()
        self._answered = True
        if self.entry is not None:
            self.gateway.cache.closed(self.entry, self)
        self.front.abort()

    def client_lost(self) -> None:
        self._cancel()
        relay, self.relay = self.relay, None
        if relay is not None:
            relay.drop()
        if self.entry is not None:
            self.gateway.cache.closed(self.entry, self)

    def client_full(self) -> None:
        self.front.deadline = now() + self.gateway.config.stall_timeout_s
        if self.relay is not None:
            self.relay.pause()

    def client_drained(self) -> None:
        self.front.deadline = NEVER
        if self.relay is not None:
            self.relay.resume()

    def service_full(self) -> None:
        """The service takes no more of the body for now; how long that may last is its time, and not the client's."""
        self.front.deadline = now() + self.gateway.config.first_byte_timeout_s
        self.front.pause_reading()

    def service_drained(self) -> None:
        if self.wants_body:
            self.front.deadline = now() + self.gateway.config.body_timeout_s
        self.front.check_waiting()

    def _cancel(self) -> None:
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = self.gateway.spawn(self._guarded(work))

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - one request's fault is not another's
            self.gateway.log("request.failed", error=type(error).__name__)
            self.gateway.metrics.refused["internal"] += 1
            if self.relay is None:
                self.reply(answers.problem(self.request, 500, "internal"))
            else:
                self.cut()
