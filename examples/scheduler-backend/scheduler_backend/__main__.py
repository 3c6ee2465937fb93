"""`python3 -m scheduler_backend`: serve until SIGTERM or SIGINT."""

import os
import signal
import sys
import threading
from datetime import date
from types import FrameType

from scheduler_backend import settings
from scheduler_backend.api import Api
from scheduler_backend.bookings import Book
from scheduler_backend.samples import fill
from scheduler_backend.server import Server


def main() -> int:
    try:
        chosen = settings.read()
    except settings.BadSettings as error:
        print(error, file=sys.stderr)
        return 2
    book = Book(chosen.data)
    if book.is_new and chosen.samples:
        fill(book, date.today())  # noqa: DTZ011 - the days of the house the rooms are in
    server = Server(chosen.port, Api(book, chosen.signing_key, chosen.organization))

    def end(_number: int, _frame: FrameType | None) -> None:
        # From another thread: shutdown waits for the loop that this handler interrupts.
        threading.Thread(target=server.shutdown, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    print(f"the scheduler's backend listens on http://127.0.0.1:{chosen.port}", file=sys.stderr, flush=True)
    server.serve_forever(poll_interval=0.05)
    server.server_close()
    book.end_waiting()
    server.wait_until_idle()
    return 0


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # Threads that still wait for a client may hold the lock of standard error, at which the interpreter's own end aborts.
    os._exit(status)
