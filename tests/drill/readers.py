"""Reading the console without pause, to see how long it does not answer."""

import http.client
import itertools
import threading
import time
from types import TracebackType

PAUSE_S = 0.1
TIMEOUT_S = 15.0


class Reader:
    """Asks one address over and over while in the block; `longest_outage` tells what a client would have felt."""

    def __init__(self, port: int, path: str) -> None:
        self._port = port
        self._path = path
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name=f"reader of {path}")
        self.answered_at: list[float] = []
        self.asked = 0

    def __enter__(self) -> "Reader":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def longest_outage(self, since: float, until: float) -> float:
        """The longest time between two good answers in a period, in seconds."""
        return longest_gap(self.answered_at, since, until)

    def _read(self) -> None:
        while not self._stop.is_set():
            self.asked += 1
            if self._answers():
                self.answered_at.append(time.monotonic())
            self._stop.wait(PAUSE_S)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)
        try:
            connection.request("GET", self._path, headers={"Host": f"localhost:{self._port}"})
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            return False
        else:
            return answer.status == http.client.OK
        finally:
            connection.close()


def longest_gap(moments: list[float], since: float, until: float) -> float:
    """The longest time in a period without any of the moments."""
    marks = [since, *(moment for moment in moments if since < moment < until), until]
    return max(later - earlier for earlier, later in itertools.pairwise(marks))
