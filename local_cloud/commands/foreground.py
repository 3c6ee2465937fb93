"""Running a program that has the terminal to itself while servers stay up behind it."""

import signal
import subprocess
from collections.abc import Mapping, Sequence
from types import FrameType

from local_cloud.home import REPOSITORY


def run_in_foreground(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a program to its end and return its exit status.

    Ctrl-C reaches it from the terminal and means it alone; SIGTERM and SIGHUP to us are handed on.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    process = subprocess.Popen(command, env=dict(environment), cwd=REPOSITORY)

    def hand_on(number: int, _frame: FrameType | None) -> None:
        process.send_signal(number)

    try:
        signal.signal(signal.SIGINT, lambda _number, _frame: None)
        signal.signal(signal.SIGTERM, hand_on)
        signal.signal(signal.SIGHUP, hand_on)
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code
