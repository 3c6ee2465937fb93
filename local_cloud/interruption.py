"""Ctrl-C and its relatives: the first asks to stop, the next ones to hurry."""

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """While in the block, the first stop signal raises KeyboardInterrupt; each further one calls `hurry`."""

    def __init__(self) -> None:
        self.hurry: Callable[[], None] = lambda: None
        self.received = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interruption":
        for number in STOP_SIGNALS:
            self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        if self.received:
            self.hurry()
            return
        self.received = True
        raise KeyboardInterrupt
