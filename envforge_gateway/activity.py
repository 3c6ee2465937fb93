"""Counts what sessions do, and tells it in batches (DESIGN 7.5, W7, L9)."""

import asyncio
from collections import OrderedDict, deque
from datetime import datetime
from uuid import UUID, uuid4

from envforge_gateway.cache import Entry
from envforge_gateway.clock import now, wall
from envforge_gateway.control_plane import ControlPlane
from envforge_gateway.errors import Unavailable
from envforge_gateway.requests import Request
from envforge_protocol.gateway.activity import (
    ACTIVITY_EVERY_S,
    BACKGROUND_EVERY_S,
    MOST_ENTRIES,
    ActivityBatch,
    Denial,
    SessionActivity,
)

MOST_REMEMBERED = 100_000
# Which batches tell of sessions that only look, of whom there may be thousands: nothing waits for it.
BACKGROUND_EVERY = BACKGROUND_EVERY_S // ACTIVITY_EVERY_S


class Acts:
    """What a session's person, or program, did at one service since it was last told of."""

    __slots__ = ("at", "frames", "navigations", "unsafe")

    def __init__(self) -> None:
        self.navigations = self.unsafe = self.frames = 0
        self.at: datetime | None = None


class Activity:
    """Everything that was done and not told yet, and who does it."""

    def __init__(self, control: ControlPlane) -> None:
        self._control = control
        # Whoever did something is told of at the next flush, and who only looked at one of the next.
        self._acting: list[Entry] = []
        self._looking: list[Entry] = []
        self._due: deque[Entry] = deque()
        self._flushes = 0
        self._flushing = asyncio.Lock()
        self._denials: dict[tuple[UUID, str], tuple[Entry, int, datetime]] = {}
        self._since = wall()
        self._unsent: ActivityBatch | None = None
        # When each session's person, or program, last did something, and when it was first seen here.
        self._active: OrderedDict[UUID, float] = OrderedDict()

    def request(self, entry: Entry, request: Request) -> None:
        """A request within its session."""
        if not request.is_act:
            if not entry.looks:
                self._looks(entry)
            entry.looks += 1
            return
        acts = self._acts(entry)
        if request.is_navigation:
            acts.navigations += 1
        else:
            acts.unsafe += 1

    def frames(self, entry: Entry, data: int, control: int) -> None:
        """WebSocket frames that the client sent."""
        if data:
            self._acts(entry).frames += data
        if control:
            if not entry.pings:
                self._looks(entry)
            entry.pings += control

    def denied(self, entry: Entry, word: str) -> None:
        """A request beyond its session."""
        key = (entry.session_id, word)
        _, count, _ = self._denials.get(key, (entry, 0, None))
        if count or len(self._denials) < MOST_ENTRIES:
            self._denials[key] = (entry, count + 1, wall())

    def was_active_within(self, session_id: UUID, seconds: float) -> bool:
        """Whether somebody did something so lately; a session that is new here counts from now."""
        return now() - self._last_of(session_id) < seconds

    async def flush(self, *, everything: bool = False) -> None:
        """Tell what is due, or all there is. What is not taken is told again later; until then, it goes on counting."""
        async with self._flushing:
            self._flushes += 1
            self._due.extend(self._acting)
            self._acting = []
            if everything or self._flushes % BACKGROUND_EVERY == 0:
                self._due.extend(self._looking)
                self._looking = []
            if self._unsent is None and (self._due or self._denials):
                self._unsent = self._batch()
            while self._unsent is not None:
                try:
                    await self._control.tell("/gateway/v1/activity", self._unsent)
                except Unavailable:
                    return
                self._unsent = self._batch() if self._due else None

    def _batch(self) -> ActivityBatch:
        """The first of those that are due, and every denial. One at a time: a hundred thousand would hold up everybody's requests."""
        sessions: list[SessionActivity] = []
        until = wall()
        while self._due and len(sessions) < MOST_ENTRIES:
            entry = self._due.popleft()
            # Who looked and acted stands there twice.
            if entry.acts is not None or entry.looks or entry.pings:
                sessions.append(_told(entry, until))
                entry.acts = None
                entry.looks = entry.pings = 0
        denials, self._denials = self._denials, {}
        since, self._since = self._since, until
        return ActivityBatch(
            id=uuid4(),
            since=since,
            until=until,
            sessions=tuple(sessions),
            denials=tuple(_denial(word, *held) for (_, word), held in denials.items()),
        )

    def _looks(self, entry: Entry) -> None:
        self._looking.append(entry)
        self._last_of(entry.session_id)

    def _acts(self, entry: Entry) -> Acts:
        acts: Acts | None = entry.acts
        if acts is None:
            acts = entry.acts = Acts()
            self._acting.append(entry)
            self._active[entry.session_id] = now()
            self._active.move_to_end(entry.session_id)
            self._last_of(entry.session_id)
        acts.at = wall()
        return acts

    def _last_of(self, session_id: UUID) -> float:
        """When it last did something, or was first seen; the longest idle are forgotten where there are too many."""
        last = self._active.setdefault(session_id, now())
        if len(self._active) > MOST_REMEMBERED:
            self._active.popitem(last=False)
        return last


def _told(entry: Entry, until: datetime) -> SessionActivity:
    acts: Acts = entry.acts or Acts()
    return SessionActivity(
        session_id=entry.session_id,
        link_id=entry.link_id,
        person_id=entry.person_id,
        workspace_id=entry.workspace_id,
        organization_id=entry.organization_id,
        service=entry.plan.service if entry.plan else "unknown",
        navigations=acts.navigations,
        unsafe=acts.unsafe,
        frames=acts.frames,
        background=entry.looks,
        pings=entry.pings,
        open_websockets=len(entry.open),
        active_at=acts.at,
        # When exactly is not worth a look at the clock with each.
        background_at=until if entry.looks or entry.pings else None,
    )


def _denial(word: str, entry: Entry, count: int, last_at: datetime) -> Denial:
    return Denial(
        session_id=entry.session_id,
        link_id=entry.link_id,
        workspace_id=entry.workspace_id,
        organization_id=entry.organization_id,
        word=word,
        count=count,
        last_at=last_at,
    )
