"""A process per core, each a gateway of its own; this one only keeps them running."""

import os
import signal
import subprocess
import sys
import time
from types import FrameType

from envforge_gateway.logs import logger

AGAIN_AFTER_S = 1.0


class Processes:
    """Starts processes, starts again those that end, and ends all when it is told to."""

    def __init__(self, number: int, name: str, drain_s: float) -> None:
        self._number = number
        self._drain_s = drain_s
        self._log = logger(name)
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._started: dict[int, float] = {}
        self._ending = False

    def run(self) -> int:
        """Until SIGTERM or SIGINT; 0 if every process ended by itself after that."""
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, self._end)
        while not self._ending:
            for number in range(self._number):
                self._keep(number)
            time.sleep(0.2)
        deadline = time.monotonic() + self._drain_s + 10
        ended_well = True
        for process in self._running.values():
            try:
                ended_well &= process.wait(max(0.1, deadline - time.monotonic())) == 0
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                ended_well = False
        return 0 if ended_well else 1

    def _keep(self, number: int) -> None:
        process = self._running.get(number)
        if process is not None and process.poll() is None:
            return
        if time.monotonic() - self._started.get(number, float("-inf")) < AGAIN_AFTER_S:
            return
        if process is not None:
            self._log("process.ended", number=number, status=process.returncode)
        self._started[number] = time.monotonic()
        self._running[number] = subprocess.Popen(
            [sys.executable, "-m", "envforge_gateway", "--process", str(number)], env=os.environ.copy()
        )

    def _end(self, _signal: int, _frame: FrameType | None) -> None:
        self._ending = True
        for process in self._running.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
