"""Asks what a session may reach, once for everybody who waits for the same answer (THREATS G1)."""

import asyncio
from collections import OrderedDict

from envforge_gateway.cache import Cache, Entry
from envforge_gateway.clock import DatabaseClock, now
from envforge_gateway.control_plane import ControlPlane
from envforge_gateway.errors import Unavailable
from envforge_gateway.plans import Plans
from envforge_protocol.gateway.decisions import Decision, Resolved, ResolveRequest

MOST_WAITING = 2000
MOST_AT_ONCE = 64
REFUSED_FOR_S = 1.0
_MOST_REFUSED = 10_000
_TRIES = 4


class Resolver:
    """From a session's digest to its entry in the cache."""

    def __init__(self, control: ControlPlane, cache: Cache, plans: Plans, clock: DatabaseClock) -> None:
        self._control = control
        self._cache = cache
        self._plans = plans
        self._clock = clock
        self._asking: dict[tuple[bytes, str], asyncio.Task[Entry | str]] = {}
        self._places = asyncio.Semaphore(MOST_AT_ONCE)
        # Whoever was refused just now is refused again without asking.
        self._refused: OrderedDict[tuple[bytes, str], tuple[float, str]] = OrderedDict()

    async def resolve(self, digest: bytes, host: str) -> Entry | str:
        """The session's entry, or the word it is refused with.

        Raises:
            Unavailable: nobody can say.
        """
        key = (digest, host)
        refused = self._refused.get(key)
        if refused is not None and now() < refused[0]:
            return refused[1]
        task = self._asking.get(key)
        if task is None:
            if len(self._asking) >= MOST_WAITING:
                raise Unavailable("Too many sessions wait for an answer.")
            task = self._asking[key] = asyncio.ensure_future(self._ask(digest, host))
            task.add_done_callback(lambda done: self._answered(key, done))
        return await asyncio.shield(task)

    def _answered(self, key: tuple[bytes, str], task: "asyncio.Task[Entry | str]") -> None:
        self._asking.pop(key, None)
        if not task.cancelled():
            # Everybody who waited may have gone.
            task.exception()

    async def _ask(self, digest: bytes, host: str) -> Entry | str:
        asked = ResolveRequest(session=digest.hex(), host=host)
        for _ in range(_TRIES):
            async with self._places:
                found = await self._control.ask("/gateway/v1/resolve", asked, Resolved)
            if found.refused is not None:
                self._remember((digest, host), found.refused.word)
                return found.refused.word
            entry = self._entry(digest, host, found.revision, found.decision)
            if entry.expires_at <= now():
                return "expired"
            if self._cache.is_current(entry, found.revision):
                self._cache.keep(entry)
                return entry
        raise Unavailable("Every answer was older than a purge.")

    def _entry(self, digest: bytes, host: str, revision: int, decision: Decision | None) -> Entry:
        if decision is None:
            raise Unavailable("An answer held neither a decision nor a refusal.")
        return Entry(
            digest=digest,
            host=host,
            plan=self._plans.plan(decision),
            revision=revision,
            expires_at=self._clock.local(decision.expires_at),
            of_link=self._cache.of_link(decision.link_id),
            session_id=decision.session_id,
            link_id=decision.link_id,
            person_id=decision.person_id,
            workspace_id=decision.workspace_id,
            organization_id=decision.organization_id,
        )

    def _remember(self, key: tuple[bytes, str], word: str) -> None:
        self._refused[key] = (now() + REFUSED_FOR_S, word)
        self._refused.move_to_end(key)
        while len(self._refused) > _MOST_REFUSED:
            self._refused.popitem(last=False)
