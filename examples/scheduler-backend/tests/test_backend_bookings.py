"""Bookings and invitations, each test on a database of its own."""

import tempfile
import threading
import unittest
from datetime import date, timedelta
from pathlib import Path

from scheduler_backend import invitations, settings
from scheduler_backend.bookings import Book, Refused
from scheduler_backend.invitations import Invitation
from scheduler_backend.samples import fill

DAY = "2026-05-04"
KEY = b"a key for tests alone"


class BookCase(unittest.TestCase):
    """With a new book."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.book = Book(Path(directory.name) / "data")

    def add(self, start: str = "09:00", end: str = "10:00", **other: str) -> int:
        given = {"room": "oak", "day": DAY, "title": "Planning", "who": "Alice", **other}
        return self.book.add(start=start, end=end, **given).id

    def refused(self, status: int, **given: str) -> None:
        with self.assertRaises(Refused) as caught:
            self.add(**given)
        self.assertEqual(caught.exception.status, status)


class Bookings(BookCase):
    def test_a_room_is_booked_once_at_a_time(self) -> None:
        self.add("09:00", "10:00")
        self.refused(409, start="09:45", end="10:15")
        self.refused(409, start="08:00", end="18:00")
        self.add("10:00", "10:30")
        self.add("09:00", "10:00", room="pine")
        self.add("09:00", "10:00", day="2026-05-05")
        self.assertEqual([one.start for one, _ in self.book.on(DAY) if one.room == "oak"], [540, 600])

    def test_of_twenty_who_ask_at_once_one_gets_the_room(self) -> None:
        got: list[int] = []

        def ask() -> None:
            try:
                got.append(self.add())
            except Refused as refused:
                self.assertEqual(refused.status, 409)

        threads = [threading.Thread(target=ask) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(got), 1)

    def test_what_makes_no_sense_is_refused(self) -> None:
        self.refused(422, start="10:00", end="10:00")
        self.refused(422, start="10:00", end="09:00")
        self.refused(422, start="07:00", end="09:00")
        self.refused(422, start="17:00", end="18:15")
        self.refused(422, start="09:07", end="10:00")
        self.refused(422, start="9", end="10:00")
        self.refused(422, room="cellar")
        self.refused(422, day="2026-02-30")
        self.refused(422, title=" \u200b ")
        self.refused(422, title="x" * 81)
        self.assertEqual(self.book.on(DAY), [])

    def test_text_is_kept_without_what_nobody_sees(self) -> None:
        self.add(title="  Plan\u202ening \n 2 ")
        self.assertEqual(self.book.on(DAY)[0][0].title, "Plan ning 2")

    def test_a_cancelled_booking_frees_the_room_and_forgets_its_guests(self) -> None:
        number = self.add()
        self.book.answer(number, "Rita", coming=True)
        self.book.remove(number)
        self.assertEqual(self.book.on(DAY), [])
        with self.assertRaises(Refused):
            self.book.remove(number)
        self.assertGreater(self.add(), number)

    def test_the_last_answer_counts(self) -> None:
        number = self.add()
        for coming in (True, False):
            self.book.answer(number, "Rita", coming=coming)
        self.assertEqual(self.book.on(DAY)[0][1], [("Rita", False)])

    def test_whoever_waits_for_a_change_is_told(self) -> None:
        before = self.book.last_change()
        self.assertEqual(self.book.wait_for_change(before - 1, 60), before)
        timer = threading.Timer(0.05, self.add)
        timer.start()
        self.assertEqual(self.book.wait_for_change(before, 60), before + 1)
        timer.join()
        self.book.end_waiting()
        self.assertEqual(self.book.wait_for_change(before + 1, 60), before + 1)

    def test_a_refused_booking_is_no_change(self) -> None:
        self.add()
        before = self.book.last_change()
        self.refused(409)
        self.assertEqual(self.book.last_change(), before)

    def test_bookings_outlive_the_service(self) -> None:
        self.add()
        again = Book(self.book._path.parent)
        self.assertFalse(again.is_new)
        self.assertEqual(len(again.on(DAY)), 1)

    def test_samples_fill_two_weeks(self) -> None:
        fill(self.book, date(2026, 5, 6))
        for day in (DAY, "2026-05-08", "2026-05-11"):
            self.assertTrue(self.book.on(day))


class Invitations(unittest.TestCase):
    invitation = Invitation(7, "Rita Ø", DAY)
    today = date.fromisoformat(DAY)

    def test_a_token_says_what_was_signed(self) -> None:
        token = invitations.token(KEY, self.invitation)
        self.assertEqual(invitations.read(KEY, token, self.today), self.invitation)

    def test_another_key_a_changed_token_or_a_later_day_is_refused(self) -> None:
        token = invitations.token(KEY, self.invitation)
        changed = token[:60] + ("A" if token[60] != "A" else "B") + token[61:]
        for key, text, today in (
            (b"another key entirely", token, self.today),
            (KEY, changed, self.today),
            (KEY, token[:-4], self.today),
            (KEY, "", self.today),
            (KEY, "a" * 5000, self.today),
            (KEY, token, self.today + timedelta(days=1)),
        ):
            with self.assertRaises(Refused) as caught:
                invitations.read(key, text, today)
            self.assertEqual(caught.exception.status, 404)


class Settings(unittest.TestCase):
    def test_the_key_is_needed_taken_and_never_shown(self) -> None:
        environ = {"CALENDAR_SIGNING_KEY": "0123456789abcdef", "PORT": "4100"}
        read = settings.read(environ)
        self.assertEqual(read.port, 4100)
        self.assertNotIn("CALENDAR_SIGNING_KEY", environ)
        self.assertNotIn("0123456789abcdef", repr(read))
        for bad in (
            {},
            {"CALENDAR_SIGNING_KEY": "short"},
            {"CALENDAR_SIGNING_KEY": "x" * 20, "PORT": "http"},
        ):
            with self.assertRaises(settings.BadSettings) as caught:
                settings.read(dict(bad))
            self.assertNotIn("short", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
