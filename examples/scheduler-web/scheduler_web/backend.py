"""The way to the backend: requests handed on as they are, and news of its changes."""

import http.client
import json
import sys
import threading
from dataclasses import dataclass
from urllib.parse import urlsplit

from scheduler_web.live import Hub

TIMEOUT_S = 30.0
WAIT_S = 20
LARGEST_ANSWER = 1024 * 1024
PAUSES_S = (1.0, 2.0, 5.0, 10.0)
HANDED_ON = ("content-type", "accept", "accept-language")


class Unreachable(Exception):
    """The backend does not answer, or none is named."""


@dataclass(frozen=True)
class Answer:
    """What the backend said."""

    status: int
    content_type: str
    body: bytes


class Backend:
    """The backend at an address; an empty address is one that never answers."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._prefix = parts.netloc, parts.path.rstrip("/")
        self._connection = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )

    def ask(self, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> Answer:
        """Hand a request on. Raises Unreachable."""
        if not self._host:
            raise Unreachable("BACKEND_URL is not set")
        connection = self._connection(self._host, timeout=TIMEOUT_S)
        try:
            connection.request(method, self._prefix + path, body, headers)
            answer = connection.getresponse()
            content = answer.read(LARGEST_ANSWER + 1)
            if len(content) > LARGEST_ANSWER:
                raise Unreachable("the answer is too long")
            return Answer(
                answer.status, answer.headers.get("Content-Type", "application/octet-stream"), content
            )
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(str(error)) from None
        finally:
            connection.close()

    def last_change(self, after: int) -> int:
        """The number of the last change, waited for if it is still `after`. Raises Unreachable."""
        answer = self.ask("GET", f"/api/changes?after={after}&wait={WAIT_S}", {})
        try:
            return int(json.loads(answer.body)["number"])
        except (ValueError, KeyError, TypeError):
            raise Unreachable(f"it answered {answer.status} without a number") from None


class Follower(threading.Thread):
    """Asks the backend for changes as long as anybody is looking, and tells them."""

    def __init__(self, backend: Backend, hub: Hub) -> None:
        super().__init__(daemon=True)
        self._backend = backend
        self._hub = hub

    def run(self) -> None:
        known, failed = -1, 0
        while True:
            self._hub.somebody.wait()
            try:
                number = self._backend.last_change(known)
            except Unreachable as error:
                if not failed:
                    print(f"the backend cannot be reached: {error}", file=sys.stderr, flush=True)
                threading.Event().wait(PAUSES_S[min(failed, len(PAUSES_S) - 1)])
                failed += 1
                continue
            # After a failure there may be news even if the number is the same: of a new backend.
            if number != known or failed:
                self._hub.broadcast({"type": "changed"})
            known, failed = number, 0
