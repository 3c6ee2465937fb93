"""Requests to a workspace that is not awake (L6, W7, THREATS G5)."""

import asyncio
from uuid import UUID

from envforge_gateway import answers
from envforge_gateway.activity import Activity
from envforge_gateway.answers import Answer
from envforge_gateway.cache import Cache, Entry
from envforge_gateway.clock import now
from envforge_gateway.config import Config
from envforge_gateway.control_plane import ControlPlane
from envforge_gateway.errors import Unavailable
from envforge_gateway.metrics import Metrics
from envforge_gateway.pages import Pages
from envforge_gateway.plans import Plan
from envforge_gateway.requests import SAFE, Request
from envforge_gateway.resolver import Resolver
from envforge_protocol.gateway.events import Key
from envforge_protocol.gateway.waking import WakeAnswer, WakeRequest

# A socket that a forgotten page opens again and again wakes nothing unless its person did something so long ago at most.
RECENT_S = 600.0
LOOK_EVERY_S = 2.0


class Waker:
    """Asks for wakes, one at a time per workspace, and tells those who wait."""

    def __init__(
        self,
        *,
        config: Config,
        control: ControlPlane,
        cache: Cache,
        resolver: Resolver,
        activity: Activity,
        pages: Pages,
        metrics: Metrics,
    ) -> None:
        self._config = config
        self._control = control
        self._cache = cache
        self._resolver = resolver
        self._activity = activity
        self._pages = pages
        self._metrics = metrics
        self._asking: dict[UUID, asyncio.Task[WakeAnswer]] = {}
        self._last: dict[UUID, tuple[float, WakeAnswer]] = {}
        self._waiting: dict[UUID, set[asyncio.Event]] = {}
        cache.when_purged.append(self._purged)

    async def answer(self, entry: Entry, plan: Plan, request: Request) -> Answer | None:
        """What a request to a sleeping workspace gets; None where it can go on."""
        if not self._may_wake(entry, request):
            return self._pages.refused(request, "asleep")
        try:
            if request.is_websocket:
                return await self._hold(entry, request)
            told = await self._ask(entry, "navigation" if request.is_navigation else "request")
        except Unavailable:
            return answers.unavailable(request)
        if told.state == "awake":
            return None
        if told.state in {"refused", "failed"}:
            return self._pages.refused(request, told.word or told.state)
        if request.wants_page:
            return self._pages.progress(plan.workspace, sentence(told), told.steps, told.retry_after_s)
        return self._later(request, told)

    async def progress(self, entry: Entry, plan: Plan) -> dict[str, object]:
        """Where the wake stands, for the progress page; looking costs nothing and wakes nothing that sleeps again."""
        if plan.epoch is not None:
            return {"state": "awake"}
        held = self._last.get(entry.workspace_id)
        if held is None:
            return {"state": "refused"}
        told = held[1]
        if told.state == "waking" and now() - held[0] >= LOOK_EVERY_S:
            told = await self._ask(entry, "navigation")
        if told.state == "awake":
            return {"state": "waking", "sentence": sentence(told), "again_ms": 500}
        return {
            "state": told.state,
            "sentence": sentence(told),
            "steps": [one.model_dump() for one in told.steps],
            "again_ms": 1500,
        }

    def _may_wake(self, entry: Entry, request: Request) -> bool:
        """Whether a person, or a program, asked; a page that was left open polls, and opens its sockets again."""
        if not request.is_by_browser or request.method not in SAFE:
            return True
        if request.is_websocket:
            return self._activity.was_active_within(entry.session_id, RECENT_S)
        return request.is_navigation

    async def _hold(self, entry: Entry, request: Request) -> Answer | None:
        """A WebSocket's upgrade waits for the wake, but not for ever."""
        deadline = now() + self._config.websocket_hold_s
        changed = asyncio.Event()
        waiting = self._waiting.setdefault(entry.workspace_id, set())
        if len(waiting) >= self._config.connections_per_link:
            # Each holds a connection of the process: nobody's link may hold them all.
            self._metrics.refused["limit"] += 1
            return answers.problem(request, 429, "limit", retry_after_s=5)
        waiting.add(changed)
        try:
            told = await self._ask(entry, "websocket")
            while told.state == "waking":
                left = deadline - now()
                if left <= 0:
                    self._metrics.refused["held_too_long"] += 1
                    return self._later(request, told)
                try:
                    async with asyncio.timeout(min(left, max(told.retry_after_s, 1))):
                        await changed.wait()
                except TimeoutError:
                    told = await self._ask(entry, "websocket")
                    continue
                changed.clear()
                found = await self._resolver.resolve(entry.digest, entry.host)
                if isinstance(found, str) or (found.plan is not None and found.plan.epoch is not None):
                    return None
        finally:
            waiting.discard(changed)
            if not waiting:
                self._waiting.pop(entry.workspace_id, None)
        if told.state == "awake":
            return None
        return self._pages.refused(request, told.word or told.state)

    def _later(self, request: Request, told: WakeAnswer) -> Answer:
        return answers.problem(
            request,
            503,
            "waking",
            detail=sentence(told),
            retry_after_s=told.retry_after_s,
            more={"estimate_s": told.estimate_s},
        )

    async def _ask(self, entry: Entry, cause: str) -> WakeAnswer:
        """One question per workspace at a time; a refusal is one session's, and others ask for themselves."""
        workspace = entry.workspace_id
        task = self._asking.get(workspace)
        if task is not None:
            told = await asyncio.shield(task)
            if told.state in {"waking", "awake"}:
                return told
        held = self._last.get(workspace)
        if held is not None and held[1].state == "waking" and now() - held[0] < 1.0:
            return held[1]
        self._metrics.wakes_asked += 1
        asked = WakeRequest.model_validate(
            {"session": entry.digest.hex(), "host": entry.host, "cause": cause}
        )
        task = asyncio.ensure_future(self._control.ask("/gateway/v1/wake", asked, WakeAnswer))
        self._asking[workspace] = task

        def answered(done: "asyncio.Task[WakeAnswer]") -> None:
            if self._asking.get(workspace) is done:
                del self._asking[workspace]
            if not done.cancelled() and done.exception() is None:
                self._last[workspace] = (now(), done.result())

        task.add_done_callback(answered)
        told = await asyncio.shield(task)
        if told.state == "awake":
            # The purge that says so may be a moment behind; what is cached says "asleep" until then.
            self._cache.drop(entry)
        return told

    def _purged(self, key: Key) -> None:
        if key.kind in {"workspace", "route"} and key.id is not None:
            if key.kind == "route":
                self._last.pop(key.id, None)
            for event in self._waiting.get(key.id, ()):
                event.set()
        elif key.kind in {"organization", "everything", "link", "session", "person"}:
            for events in self._waiting.values():
                for event in events:
                    event.set()

    def tidy(self) -> None:
        """Forget wakes that nobody has asked about for a while."""
        before = now() - 120
        self._last = {one: held for one, held in self._last.items() if held[0] >= before}


def sentence(told: WakeAnswer) -> str:
    """How long it will take, in words."""
    if told.estimate_s is None:
        return "It was asleep. This usually takes less than a minute."
    if told.estimate_s < 5:
        return "It was asleep. A few seconds more."
    return f"It was asleep. About {told.estimate_s} seconds more."
