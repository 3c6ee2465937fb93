"""What sessions may reach, and what is open under them (THREATS G1).

An entry is one answer of the control plane about one session. It is used while it is `cached`; what was opened under it stays
registered after that, so that a later purge finds it.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from envforge_gateway.clock import now
from envforge_gateway.plans import Plan
from envforge_protocol.gateway.events import Key

PURGES_REMEMBERED = 4096


class Open(Protocol):
    """Something that passes bytes under a session: a request under way, a socket, a shell."""

    def shut(self) -> None:
        """From now on nothing passes to or from its client; costs little, and `cut` must follow."""

    def cut(self) -> None:
        """End it at once, and close what it had."""


class Count:
    """How much is open under one link."""

    __slots__ = ("open",)

    def __init__(self) -> None:
        self.open = 0


class Subject:
    """Whose something is: the ids a purge may name."""

    __slots__ = ("epoch", "link_id", "organization_id", "person_id", "session_id", "workspace_id")

    def __init__(
        self,
        *,
        session_id: UUID,
        link_id: UUID | None,
        person_id: UUID | None,
        workspace_id: UUID,
        organization_id: UUID,
        epoch: int | None,
    ) -> None:
        self.session_id = session_id
        self.link_id = link_id
        self.person_id = person_id
        self.workspace_id = workspace_id
        self.organization_id = organization_id
        self.epoch = epoch

    def is_under(self, key: Key) -> bool:
        if key.kind == "everything":
            return True
        if key.kind == "route":
            # What was decided while the runtime slept is out of date as well.
            return self.workspace_id == key.id and (self.epoch is None or self.epoch <= (key.epoch or 0))
        return bool(getattr(self, f"{key.kind}_id") == key.id)


class Entry(Subject):
    """One session's decision, and what is open under it. `of_link` counts that of all sessions of its link.

    `acts`, `looks` and `pings` belong to whoever counts activity.
    """

    __slots__ = (
        "acts",
        "cached",
        "digest",
        "expires_at",
        "host",
        "looks",
        "of_link",
        "open",
        "pings",
        "plan",
        "revision",
    )

    def __init__(
        self,
        *,
        digest: bytes,
        host: str,
        plan: Plan | None,
        revision: int,
        expires_at: float,
        of_link: Count,
        session_id: UUID,
        link_id: UUID | None,
        person_id: UUID | None,
        workspace_id: UUID,
        organization_id: UUID,
    ) -> None:
        super().__init__(
            session_id=session_id,
            link_id=link_id,
            person_id=person_id,
            workspace_id=workspace_id,
            organization_id=organization_id,
            epoch=plan.epoch if plan else None,
        )
        self.digest = digest
        self.host = host
        self.plan = plan
        self.revision = revision
        self.expires_at = expires_at
        self.of_link = of_link
        self.open: tuple[Open, ...] = ()
        self.cached = False
        self.acts: Any = None
        self.looks = self.pings = 0

    def opened(self, one: Open) -> None:
        self.open += (one,)
        self.of_link.open += 1


@dataclass(frozen=True, slots=True)
class Purged:
    """What a purge did."""

    forgotten: int
    cut: int


class Cache:
    """Entries by session digest, and by every id a purge may name."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._by_digest: dict[bytes, Entry] = {}
        self._by_key: dict[str, dict[UUID, set[Entry]]] = {
            kind: {} for kind in ("link", "workspace", "organization", "person")
        }
        self._by_session: dict[UUID, tuple[Entry, ...]] = {}
        self._of_links: dict[UUID, Count] = {}
        self._expiries: list[tuple[float, int, Entry]] = []
        self._forgotten = 0
        self._number = itertools.count()
        self._purges: deque[tuple[int, Key]] = deque(maxlen=PURGES_REMEMBERED)
        # Decisions of an earlier revision than this cannot be compared with every purge since, and are discarded.
        self._floor = 0
        self.when_purged: list[Callable[[Key], None]] = []
        # Shut and not yet closed; uncached and still in the books. Where ten thousand end at once, these can wait, and clients cannot.
        self._ending: deque[Open] = deque()
        self._leaving: deque[Entry] = deque()

    def __len__(self) -> int:
        return len(self._by_digest)

    def get(self, digest: bytes, host: str) -> Entry | None:
        """What is known of a session at its own host."""
        entry = self._by_digest.get(digest)
        if entry is None or entry.host != host or entry.expires_at <= now():
            return None
        return entry

    def of_link(self, link_id: UUID | None) -> Count:
        """The shared count of a link; a fresh one for a session without."""
        return Count() if link_id is None else self._of_links.setdefault(link_id, Count())

    def is_current(self, subject: Subject, revision: int) -> bool:
        """Whether a decision of that revision is not older than any purge of its keys."""
        if revision < self._floor:
            return False
        return not any(at > revision and subject.is_under(key) for at, key in self._purges)

    def keep(self, entry: Entry) -> None:
        """Use this entry from now on. The one before, if any, is used no more; what it has open stays registered."""
        before = self._by_digest.get(entry.digest)
        if before is not None:
            self._uncache(before)
        elif len(self._by_digest) >= self._most:
            self._make_room()
        entry.cached = True
        self._by_digest[entry.digest] = entry
        self.register(entry)

    def register(self, entry: Entry) -> None:
        """Let purges and the end of its time find what is open under the entry."""
        if entry.link_id is not None:
            # The link's other sessions may have been forgotten since the entry was made.
            entry.of_link = self._of_links.setdefault(entry.link_id, entry.of_link)
        for kind, known in self._by_key.items():
            named = getattr(entry, f"{kind}_id")
            if named is not None:
                known.setdefault(named, set()).add(entry)
        if entry not in self._by_session.get(entry.session_id, ()):
            self._by_session[entry.session_id] = (*self._by_session.get(entry.session_id, ()), entry)
        heapq.heappush(self._expiries, (entry.expires_at, next(self._number), entry))

    def closed(self, entry: Entry, one: Open) -> None:
        """Something open under an entry ended."""
        if one in entry.open:
            entry.open = (
                tuple(other for other in entry.open if other is not one) if len(entry.open) > 1 else ()
            )
            entry.of_link.open -= 1
        if not entry.cached and not entry.open:
            self._forget(entry)

    def drop(self, entry: Entry) -> None:
        """Ask again next time; what is open under it stays open."""
        self._uncache(entry)

    def purge(self, key: Key, revision: int, *, cut: bool) -> Purged:
        """Forget decisions older than the purge; with `cut`, shut what is open under them. `settle` does the rest."""
        if len(self._purges) == PURGES_REMEMBERED:
            self._floor = max(self._floor, self._purges[0][0])
        self._purges.append((revision, key))
        under = [one for one in self._under(key) if one.revision < revision and one.is_under(key)]
        ended = sum(self._cut(one) for one in under if one.open) if cut else 0
        given_up = [one for one in under if self._give_up(one)]
        self._leaving.extend(given_up)
        for told in self.when_purged:
            told(key)
        return Purged(len(given_up), ended)

    def empty(self, floor: int, *, cut: bool) -> Purged:
        """Forget everything, and every decision made before revision `floor`."""
        self._floor = max(self._floor, floor)
        self._purges.clear()
        forgotten = len(self._by_digest)
        ended = self.cut_all() if cut else 0
        for entry in self._by_digest.values():
            entry.cached = False
        self._by_digest.clear()
        left = [entry for entry in self._everything() if entry.open]
        for known in self._by_key.values():
            known.clear()
        self._by_session.clear()
        self._of_links.clear()
        self._expiries.clear()
        for entry in left:
            self.register(entry)
        for told in self.when_purged:
            told(Key(kind="everything"))
        return Purged(forgotten, ended)

    def settle(self, most: int) -> bool:
        """Close and forget some of what has ended; whether there is more of it."""
        for _ in range(min(most, len(self._ending))):
            self._ending.popleft().cut()
        for _ in range(min(most, len(self._leaving))):
            entry = self._leaving.popleft()
            if not (entry.cached or entry.open):
                self._forget(entry)
        return bool(self._ending or self._leaving)

    def cut_all(self) -> int:
        """Shut everything that is open; `settle` closes it."""
        return sum(self._cut(entry) for entry in [one for one in self._everything() if one.open])

    def expire(self) -> int:
        """Shut what is open under entries whose time has come; how many there were."""
        ended = 0
        clock = now()
        while self._expiries and self._expiries[0][0] <= clock:
            entry = heapq.heappop(self._expiries)[2]
            self._uncache(entry)
            if entry.open:
                ended += self._cut(entry)
        return ended

    @property
    def open(self) -> int:
        return sum(len(entry.open) for entry in self._everything())

    def _under(self, key: Key) -> Iterable[Entry]:
        if key.kind == "everything" or key.id is None:
            return list(self._everything())
        if key.kind == "session":
            return self._by_session.get(key.id, ())
        kind = "workspace" if key.kind == "route" else key.kind
        return list(self._by_key[kind].get(key.id, ()))

    def _everything(self) -> Iterable[Entry]:
        return (entry for entries in self._by_session.values() for entry in entries)

    def _give_up(self, entry: Entry) -> bool:
        """Use it no more; whether it was used until now."""
        if not entry.cached:
            return False
        entry.cached = False
        if self._by_digest.get(entry.digest) is entry:
            del self._by_digest[entry.digest]
        return True

    def _uncache(self, entry: Entry) -> None:
        self._give_up(entry)
        if not entry.open:
            self._forget(entry)

    def _cut(self, entry: Entry) -> int:
        ending, entry.open = entry.open, ()
        for one in ending:
            one.shut()
        entry.of_link.open -= len(ending)
        self._ending.extend(ending)
        if not entry.cached:
            self._leaving.append(entry)
        return len(ending)

    def _forget(self, entry: Entry) -> None:
        for kind, known in self._by_key.items():
            named = getattr(entry, f"{kind}_id")
            held = known.get(named) if named is not None else None
            if held is not None:
                held.discard(entry)
                if not held:
                    del known[named]
        left = tuple(one for one in self._by_session.get(entry.session_id, ()) if one is not entry)
        if left:
            self._by_session[entry.session_id] = left
        else:
            self._by_session.pop(entry.session_id, None)
        if entry.link_id is not None and entry.link_id not in self._by_key["link"]:
            self._of_links.pop(entry.link_id, None)
        self._forgotten += 1
        if self._forgotten > 1024 and self._forgotten * 2 > len(self._expiries):
            # Seldom enough that it costs each of those forgotten next to nothing.
            self._forgotten = 0
            self._expiries = [one for one in self._expiries if one[2].cached or one[2].open]
            heapq.heapify(self._expiries)

    def _make_room(self) -> None:
        """Forget a hundredth, the longest kept first; what is open stays open."""
        for entry in list(itertools.islice(self._by_digest.values(), max(1, self._most // 100))):
            self._uncache(entry)
