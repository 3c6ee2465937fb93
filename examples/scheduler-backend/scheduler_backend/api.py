"""What /api answers: plain data in, plain data out; HTTP itself is in server.py."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from scheduler_backend import invitations
from scheduler_backend.bookings import CLOSES, OPENS, ROOMS, STEP, Book, Booking, Refused, clock, line
from scheduler_backend.invitations import Invitation

LONGEST_WAIT_S = 25.0


@dataclass(frozen=True)
class Ask:
    """A request: what its path named, its query, and its JSON body."""

    named: tuple[str, ...]
    query: Mapping[str, str]
    body: Mapping[str, Any]

    def text(self, key: str) -> str:
        """Raises Refused: the body has no such text."""
        value = self.body.get(key)
        if not isinstance(value, str):
            raise Refused(422, f"“{key}” is missing, or is not text.")
        return value


class Api:
    """The requests by method and path. `today` may be moved in tests."""

    def __init__(
        self, book: Book, signing_key: bytes, organization: str, today: Callable[[], date] = date.today
    ) -> None:
        self._book = book
        self._key = signing_key
        self._organization = organization
        self._today = today
        self._doors: tuple[tuple[str, str, re.Pattern[str], Callable[[Ask], tuple[int, Any]]], ...] = tuple(
            (method, shown, re.compile(pattern), answer)
            for method, shown, pattern, answer in (
                ("GET", "/api/rooms", r"/api/rooms", self._rooms),
                ("GET", "/api/bookings", r"/api/bookings", self._bookings),
                ("POST", "/api/bookings", r"/api/bookings", self._book_room),
                ("DELETE", "/api/bookings/N", r"/api/bookings/(\d{1,9})", self._cancel),
                ("POST", "/api/bookings/N/invitations", r"/api/bookings/(\d{1,9})/invitations", self._invite),
                ("GET", "/api/invitations/…", r"/api/invitations/([\w-]+)", self._invitation),
                ("POST", "/api/invitations/…", r"/api/invitations/([\w-]+)", self._answer),
                ("GET", "/api/changes", r"/api/changes", self._changes),
            )
        )

    def find(self, method: str, path: str) -> tuple[str, Callable[[Ask], tuple[int, Any]], tuple[str, ...]]:
        """How the log names this request, what answers it, and what its path names. Raises Refused."""
        known = False
        for wanted, shown, pattern, answer in self._doors:
            found = pattern.fullmatch(path)
            if found and wanted == method:
                return shown, answer, found.groups()
            known = known or found is not None
        raise Refused(405 if known else 404, "There is nothing here.")

    def _rooms(self, _ask: Ask) -> tuple[int, Any]:
        return 200, {
            "organization": self._organization,
            "opens": clock(OPENS),
            "closes": clock(CLOSES),
            "step_minutes": STEP,
            "rooms": [vars(room) for room in ROOMS],
        }

    def _bookings(self, ask: Ask) -> tuple[int, Any]:
        found = self._book.on(ask.query.get("day", ""))
        return 200, {
            "bookings": [
                {**_shown(one), "answers": [{"guest": guest, "coming": coming} for guest, coming in answers]}
                for one, answers in found
            ]
        }

    def _book_room(self, ask: Ask) -> tuple[int, Any]:
        names = ("room", "day", "start", "end", "title", "who")
        return 201, _shown(self._book.add(**{name: ask.text(name) for name in names}))

    def _cancel(self, ask: Ask) -> tuple[int, Any]:
        self._book.remove(int(ask.named[0]))
        return 200, {}

    def _invite(self, ask: Ask) -> tuple[int, Any]:
        booking = self._book.one(int(ask.named[0]))
        if booking.day < self._today().isoformat():
            raise Refused(422, "The meeting's day is over; nobody can be invited to it.")
        invitation = Invitation(booking.id, line(ask.text("guest"), "guest"), booking.day)
        return 201, {"guest": invitation.guest, "token": invitations.token(self._key, invitation)}

    def _invitation(self, ask: Ask) -> tuple[int, Any]:
        invitation = invitations.read(self._key, ask.named[0], self._today())
        booking = self._book.one(invitation.booking)
        room = next(room for room in ROOMS if room.key == booking.room)
        answers = next(given for one, given in self._book.on(booking.day) if one.id == booking.id)
        return 200, {
            "guest": invitation.guest,
            "room_name": room.name,
            "coming": dict(answers).get(invitation.guest),
            **_shown(booking),
        }

    def _answer(self, ask: Ask) -> tuple[int, Any]:
        invitation = invitations.read(self._key, ask.named[0], self._today())
        coming = ask.body.get("coming")
        if not isinstance(coming, bool):
            raise Refused(422, "“coming” is true or false.")
        self._book.answer(invitation.booking, invitation.guest, coming=coming)
        return 200, {"coming": coming}

    def _changes(self, ask: Ask) -> tuple[int, Any]:
        try:
            after, wait = int(ask.query.get("after", "-1")), float(ask.query.get("wait", "0"))
        except ValueError:
            raise Refused(422, "“after” and “wait” are numbers.") from None
        # Written so that "not a number" waits for nothing.
        seconds = wait if 0 < wait <= LONGEST_WAIT_S else 0.0
        return 200, {"number": self._book.wait_for_change(after, seconds)}


def _shown(booking: Booking) -> dict[str, Any]:
    return {**vars(booking), "start": clock(booking.start), "end": clock(booking.end)}
