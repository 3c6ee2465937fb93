"""What a person sees while the local cloud works: lasting lines, and one line that shows progress."""

import contextlib
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

PLAIN_INTERVAL_S = 5.0
TICK_S = 0.5


class Console:
    """Writes lasting lines with `say` and a passing one with `progress`.

    On a terminal the passing line is redrawn in place. Elsewhere (a pipe, a CI log) it becomes an ordinary
    line at most every five seconds.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._tty = self._stream.isatty()
        self._lock = threading.Lock()
        self._shown = False
        self._last_plain = time.monotonic()

    def say(self, text: str = "") -> None:
        """Write lines that stay."""
        with (
            self._lock,
            contextlib.suppress(OSError),
        ):  # a terminal that went away must not keep us from stopping
            self._clear()
            self._stream.write(text + "\n")
            self._stream.flush()
            self._last_plain = time.monotonic()

    def progress(self, text: str) -> None:
        """Show what is going on now; the next call or `say` replaces it."""
        with self._lock, contextlib.suppress(OSError):
            if self._tty:
                self._clear()
                self._stream.write("  " + text[: shutil.get_terminal_size().columns - 3])
                self._shown = True
            elif time.monotonic() - self._last_plain >= PLAIN_INTERVAL_S:
                self._stream.write("  " + text + "\n")
                self._last_plain = time.monotonic()
            self._stream.flush()

    @contextmanager
    def step(self, title: str, tick: Callable[[], str] | None = None) -> Iterator[None]:
        """Announce a step, show its seconds while it runs, and say how long it took when it succeeds."""
        began = time.monotonic()
        over = threading.Event()

        def show() -> None:
            while not over.wait(TICK_S):
                note = tick() if tick else ""
                self.progress(f"{title} ... {time.monotonic() - began:.0f} s {note}".rstrip())

        ticker = threading.Thread(target=show, daemon=True)
        ticker.start()
        try:
            yield
        finally:
            over.set()
            ticker.join()
            self.clear()
        self.say(f"  {title:<26} done in {time.monotonic() - began:.1f} s")

    def clear(self) -> None:
        """Take the passing line away."""
        with self._lock, contextlib.suppress(OSError):
            self._clear()
            self._stream.flush()

    def _clear(self) -> None:
        if self._shown:
            self._stream.write("\r\033[K")
            self._shown = False
