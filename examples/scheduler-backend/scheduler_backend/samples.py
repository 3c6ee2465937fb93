"""A week of bookings, so that the first look at a new database shows something."""

from datetime import date, timedelta

from scheduler_backend.bookings import Book

# Day of the week (Monday is 0), room, from, to, title, who.
_WEEK = (
    (0, "oak", "09:00", "10:00", "Week planning", "Alice"),
    (0, "birch", "10:30", "11:15", "Design review", "Bob"),
    (0, "pine", "14:00", "14:30", "Call with Rita", "Vera"),
    (1, "linden", "09:30", "11:00", "Interview", "Adam"),
    (1, "oak", "13:00", "14:00", "Release check", "Bob"),
    (1, "birch", "10:15", "11:00", "Pairing", "Vera"),
    (1, "pine", "15:30", "16:30", "Call with the bank", "Bill"),
    (2, "oak", "10:00", "11:30", "Roadmap", "Alice"),
    (2, "birch", "09:00", "09:45", "Pairing", "Bob"),
    (2, "linden", "15:00", "16:00", "Books and tea", "Vera"),
    (3, "pine", "11:00", "12:00", "Support calls", "Adam"),
    (3, "linden", "13:30", "14:30", "Budget", "Bill"),
    (3, "oak", "09:15", "10:00", "Stand-up, all teams", "Alice"),
    (4, "oak", "15:00", "16:30", "Demo", "Bob"),
    (4, "birch", "10:00", "11:00", "Retrospective", "Vera"),
)


def fill(book: Book, today: date) -> None:
    """Put the sample week into this week and the next."""
    monday = today - timedelta(days=today.weekday())
    for week in (0, 1):
        for weekday, room, start, end, title, who in _WEEK:
            day = (monday + timedelta(days=7 * week + weekday)).isoformat()
            book.add(room=room, day=day, start=start, end=end, title=title, who=who)
