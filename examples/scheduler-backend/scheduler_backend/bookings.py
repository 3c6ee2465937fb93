"""Rooms and their bookings. A room is never booked twice at one time, whoever asks at once."""

import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

OPENS, CLOSES, STEP = 8 * 60, 18 * 60, 15
LONGEST_TEXT = 80
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_UNSEEN = re.compile(r"[\x00-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")

# The journal stays in DELETE mode, SQLite's default: the write-ahead log needs shared memory, which a network file
# system does not have.
_TABLES = """
CREATE TABLE IF NOT EXISTS bookings (
    id INTEGER PRIMARY KEY AUTOINCREMENT, room TEXT NOT NULL, day TEXT NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL,
    title TEXT NOT NULL, who TEXT NOT NULL, CHECK (start < end)
);
CREATE INDEX IF NOT EXISTS bookings_by_day ON bookings (day, room, start);
CREATE TABLE IF NOT EXISTS answers (
    booking INTEGER NOT NULL REFERENCES bookings ON DELETE CASCADE, guest TEXT NOT NULL, coming INTEGER NOT NULL,
    PRIMARY KEY (booking, guest)
);
CREATE TABLE IF NOT EXISTS changes (number INTEGER NOT NULL);
INSERT INTO changes SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM changes);
"""


class Refused(Exception):
    """A request that cannot be granted, in words for whoever made it."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


@dataclass(frozen=True)
class Room:
    """A room as the pages show it."""

    key: str
    name: str
    seats: int
    about: str


ROOMS = (
    Room("oak", "Oak", 10, "Screen, whiteboard, daylight from two sides"),
    Room("linden", "Linden", 6, "Whiteboard and a round table"),
    Room("birch", "Birch", 4, "Screen"),
    Room("pine", "Pine", 2, "Quiet, for calls"),
)


@dataclass(frozen=True)
class Booking:
    """A room from `start` to `end`, in minutes after midnight of `day` (YYYY-MM-DD)."""

    id: int
    room: str
    day: str
    start: int
    end: int
    title: str
    who: str


class Book:
    """The bookings in one database file, safe to use from many threads."""

    def __init__(self, data: Path) -> None:
        data.mkdir(parents=True, exist_ok=True)
        self._path = data / "bookings.sqlite3"
        self.is_new = not self._path.exists()
        self._changed = threading.Condition()
        self._ending = False
        with self._connection() as connection:
            connection.executescript(_TABLES)

    def on(self, day: str) -> list[tuple[Booking, list[tuple[str, bool]]]]:
        """A day's bookings in the order of their beginning, each with its guests' answers. Raises Refused."""
        day = _day(day)
        with self._connection() as connection:
            found = connection.execute(
                "SELECT id, room, day, start, end, title, who FROM bookings WHERE day = ? ORDER BY start, room",
                (day,),
            ).fetchall()
            answers = connection.execute(
                "SELECT a.booking, a.guest, a.coming FROM answers a JOIN bookings b ON b.id = a.booking "
                "WHERE b.day = ? ORDER BY a.guest",
                (day,),
            ).fetchall()
        return [
            (
                Booking(*row),
                [(guest, bool(coming)) for booking, guest, coming in answers if booking == row[0]],
            )
            for row in found
        ]

    def one(self, number: int) -> Booking:
        """Raises Refused: there is no such booking."""
        with self._connection() as connection:
            row = connection.execute(
                "SELECT id, room, day, start, end, title, who FROM bookings WHERE id = ?", (number,)
            ).fetchone()
        if row is None:
            raise Refused(404, "There is no such booking any more.")
        return Booking(*row)

    def add(self, *, room: str, day: str, start: str, end: str, title: str, who: str) -> Booking:
        """Book a room. Raises Refused: something is not right, or the room is taken."""
        if room not in {one.key for one in ROOMS}:
            raise Refused(422, "There is no such room.")
        day, begin, until = _day(day), _minutes(start, "start"), _minutes(end, "end")
        if not OPENS <= begin < until <= CLOSES:
            raise Refused(422, "A booking begins before it ends, between 08:00 and 18:00.")
        title, who = line(title, "title"), line(who, "who")
        with self._connection() as connection, _writing(connection):
            taken = connection.execute(
                "SELECT title FROM bookings WHERE room = ? AND day = ? AND start < ? AND end > ?",
                (room, day, until, begin),
            ).fetchone()
            if taken is not None:
                raise Refused(409, f"The room is taken at that time: {taken[0]}.")
            number = connection.execute(
                "INSERT INTO bookings (room, day, start, end, title, who) VALUES (?, ?, ?, ?, ?, ?)",
                (room, day, begin, until, title, who),
            ).lastrowid
        self._tell()
        return Booking(number or 0, room, day, begin, until, title, who)

    def remove(self, number: int) -> None:
        """Raises Refused: there is no such booking."""
        with self._connection() as connection, _writing(connection):
            if not connection.execute("DELETE FROM bookings WHERE id = ?", (number,)).rowcount:
                raise Refused(404, "There is no such booking any more.")
        self._tell()

    def answer(self, number: int, guest: str, *, coming: bool) -> None:
        """Keep a guest's answer; the last one counts. Raises Refused: the booking is gone."""
        self.one(number)
        with self._connection() as connection, _writing(connection):
            connection.execute(
                "INSERT INTO answers VALUES (?, ?, ?) ON CONFLICT (booking, guest) DO UPDATE SET coming = excluded.coming",
                (number, guest, coming),
            )
        self._tell()

    def last_change(self) -> int:
        """How many changes there have been."""
        with self._connection() as connection:
            return int(connection.execute("SELECT number FROM changes").fetchone()[0])

    def wait_for_change(self, after: int, seconds: float) -> int:
        """The number of the last change, as soon as it is not `after`, or when the time or the service is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._ending or self.last_change() != after, seconds)
        return self.last_change()

    def end_waiting(self) -> None:
        """Send everybody home who waits for a change."""
        self._ending = True
        self._tell()

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=5, isolation_level=None)) as connection:
            connection.execute("PRAGMA foreign_keys = ON")
            yield connection


@contextmanager
def _writing(connection: sqlite3.Connection) -> Iterator[None]:
    """One transaction that has the database to itself, so that what was looked up still holds when it writes."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("UPDATE changes SET number = number + 1")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def clock(minutes: int) -> str:
    """`570` as `09:30`."""
    return f"{minutes // 60:02}:{minutes % 60:02}"


def line(text: str, what: str) -> str:
    """A line that people see, without what nobody sees. Raises Refused."""
    clean = " ".join(_UNSEEN.sub(" ", text).split())
    if not 0 < len(clean) <= LONGEST_TEXT:
        raise Refused(422, f"“{what}” needs between 1 and {LONGEST_TEXT} characters.")
    return clean


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise Refused(422, "A day is written as 2026-05-04.") from None


def _minutes(text: str, what: str) -> int:
    found = _TIME.fullmatch(text)
    minutes = int(found[1]) * 60 + int(found[2]) if found else -1
    if minutes < 0 or minutes % STEP:
        raise Refused(422, f"“{what}” is a time in quarters of an hour, such as 09:30.")
    return minutes
