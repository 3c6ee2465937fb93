"""Counts what sessions do, and tells it in batches (DESIGN 7.5, W7, L9)."""

from collections import OrderedDict
from datetime import datetime
from uuid import UUID, uuid4

from envforge_gateway.cache import Entry
from envforge_gateway.clock import now, wall
from envforge_gateway.control_plane import ControlPlane
from envforge_gateway.errors import Unavailable
from envforge_gateway.requests import SAFE, Request
from envforge_protocol.gateway.activity import MOST_ENTRIES, ActivityBatch, Denial, SessionActivity

MOST_REMEMBERED = 100_000
MOST_BATCHES = 50


class Counts:
    """One session at one service since the last batch."""

    __slots__ = (
        "active_at",
        "background",
        "background_at",
        "entry",
        "frames",
        "navigations",
        "pings",
        "unsafe",
    )

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.navigations = self.unsafe = self.frames = self.background = self.pings = 0
        self.active_at: datetime | None = None
        self.background_at: datetime | None = None


class Activity:
    """Everything that was done since the last batch."""

    def __init__(self, control: ControlPlane) -> None:
        self._control = control
        self._pending: list[Counts] = []
        self._denials: dict[tuple[UUID, str], tuple[Entry, int, datetime]] = {}
        self._since = wall()
        self._unsent: list[ActivityBatch] = []
        # When each session's person, or program, last did something, and when it was first seen here.
        self._active: OrderedDict[UUID, float] = OrderedDict()

    def request(self, entry: Entry, request: Request) -> None:
        """A request within its session."""
        counts: Counts | None = entry.counts
        if counts is None:
            counts = self._counts(entry)
        if request.method not in SAFE:
            counts.unsafe += 1
        elif request.is_navigation:
            counts.navigations += 1
        else:
            counts.background += 1
            if counts.background_at is None:
                counts.background_at = wall()
                self._last_of(entry.session_id)
            return
        self._acted(entry, counts)

    def frames(self, entry: Entry, data: int, control: int) -> None:
        """WebSocket frames that the client sent."""
        counts: Counts | None = entry.counts
        if counts is None:
            counts = self._counts(entry)
        if data:
            counts.frames += data
            self._acted(entry, counts)
        if control:
            counts.pings += control
            counts.background_at = counts.background_at or wall()

    def denied(self, entry: Entry, word: str) -> None:
        """A request beyond its session."""
        key = (entry.session_id, word)
        _, count, _ = self._denials.get(key, (entry, 0, None))
        if count or len(self._denials) < MOST_ENTRIES:
            self._denials[key] = (entry, count + 1, wall())

    def was_active_within(self, session_id: UUID, seconds: float) -> bool:
        """Whether somebody did something so lately; a session that is new here counts from now."""
        return now() - self._last_of(session_id) < seconds

    async def flush(self) -> None:
        """Tell what there is. What is not taken is told again later, the oldest given up first."""
        pending, self._pending = self._pending, []
        denials, self._denials = self._denials, {}
        since, self._since = self._since, wall()
        for counts in pending:
            counts.entry.counts = None
        for first in range(0, max(len(pending), 1 if denials else 0), MOST_ENTRIES):
            self._unsent.append(
                ActivityBatch(
                    id=uuid4(),
                    since=since,
                    until=self._since,
                    sessions=tuple(_told(one) for one in pending[first : first + MOST_ENTRIES]),
                    denials=tuple(_denial(word, *held) for (_, word), held in denials.items())
                    if not first
                    else (),
                )
            )
        del self._unsent[:-MOST_BATCHES]
        while self._unsent:
            try:
                await self._control.tell("/gateway/v1/activity", self._unsent[0])
            except Unavailable:
                return
            del self._unsent[:1]

    def _counts(self, entry: Entry) -> Counts:
        counts = entry.counts = Counts(entry)
        self._pending.append(counts)
        return counts

    def _acted(self, entry: Entry, counts: Counts) -> None:
        if counts.active_at is None:
            self._last_of(entry.session_id)
            self._active[entry.session_id] = now()
            self._active.move_to_end(entry.session_id)
        counts.active_at = wall()

    def _last_of(self, session_id: UUID) -> float:
        """When it last did something, or was first seen; the longest idle are forgotten where there are too many."""
        last = self._active.setdefault(session_id, now())
        if len(self._active) > MOST_REMEMBERED:
            self._active.popitem(last=False)
        return last


def _told(counts: Counts) -> SessionActivity:
    entry = counts.entry
    return SessionActivity(
        session_id=entry.session_id,
        link_id=entry.link_id,
        person_id=entry.person_id,
        workspace_id=entry.workspace_id,
        organization_id=entry.organization_id,
        service=entry.plan.service if entry.plan else "unknown",
        navigations=counts.navigations,
        unsafe=counts.unsafe,
        frames=counts.frames,
        background=counts.background,
        pings=counts.pings,
        open_websockets=len(entry.open),
        active_at=counts.active_at,
        background_at=counts.background_at,
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
