"""`python3 -m scheduler_backend.listing`: today's bookings, for whoever sits at a shell."""

import os
from datetime import date
from pathlib import Path

from scheduler_backend.bookings import ROOMS, Book, clock


def main() -> None:
    names = {room.key: room.name for room in ROOMS}
    today = date.today().isoformat()  # noqa: DTZ011 - the days of the house the rooms are in
    found = Book(Path(os.environ.get("DATA_DIR", "data"))).on(today)
    for one, answers in found:
        guests = ", ".join(f"{guest} ({'comes' if coming else 'does not come'})" for guest, coming in answers)
        print(
            f"{clock(one.start)}-{clock(one.end)}  {names[one.room]:<8}{one.title}, {one.who}  {guests}".rstrip()
        )
    if not found:
        print("Nothing is booked today.")


if __name__ == "__main__":
    main()
