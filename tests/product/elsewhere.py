"""Servers on loopback that stand for what customers name: they answer as a test says, and remember what they were asked."""

import http.server
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

Handler = Callable[[http.server.BaseHTTPRequestHandler], None]


class Elsewhere:
    """A server on loopback that answers as the test says, and remembers what it was asked."""

    def __init__(self, host: str, answer: Handler, context: ssl.SSLContext | None = None) -> None:
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        outer = self

        class Answering(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                outer.headers.append({name.lower(): value for name, value in self.headers.items()})
                answer(self)

            do_POST = do_GET  # noqa: N815 - the base's names
            do_DELETE = do_GET  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
                """Silence."""

        class Quiet(http.server.ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                """Those who hang up are the point of some tests."""

        self._server = Quiet((host, 0), Answering)
        self._server.daemon_threads = True
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def fine(request: http.server.BaseHTTPRequestHandler, content: bytes = b'{"ok": true}') -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content)


@pytest.fixture
def serve() -> Iterator[Callable[..., Elsewhere]]:
    made: list[Elsewhere] = []

    def one(
        answer: Handler = fine, host: str = "127.0.0.1", context: ssl.SSLContext | None = None
    ) -> Elsewhere:
        made.append(Elsewhere(host, answer, context))
        return made[-1]

    yield one
    for each in made:
        each.close()
