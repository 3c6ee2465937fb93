"""HTTP for the pages, the way to /api, and the door to the WebSocket."""

import contextlib
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from scheduler_web.backend import HANDED_ON, Backend, Unreachable
from scheduler_web.live import Hub
from scheduler_web.pages import Pages
from scheduler_web.websocket import BadHandshake, WebSocket, accept

LARGEST_BODY = 64 * 1024
END_GRACE_S = 5.0
# Nothing from elsewhere, no inline script or style, and in nobody else's frame.
POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"


class Server(ThreadingHTTPServer):
    """Serves on loopback until it is shut down."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, pages: Pages, backend: Backend, hub: Hub) -> None:
        self.pages = pages
        self.backend = backend
        self.hub = hub
        self._at_work = 0
        self._idle = threading.Condition()
        super().__init__(("127.0.0.1", port), Handler)

    def begin(self) -> None:
        with self._idle:
            self._at_work += 1

    def finish(self) -> None:
        with self._idle:
            self._at_work -= 1
            self._idle.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever hangs up in the middle of something is no fault of ours."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def wait_until_idle(self) -> None:
        """Wait for the requests at work and the sockets that are closing, for some seconds at most."""
        with self._idle:
            self._idle.wait_for(lambda: self._at_work == 0, END_GRACE_S)


class Handler(BaseHTTPRequestHandler):
    """One connection; requests follow one another on it until one becomes a WebSocket."""

    protocol_version = "HTTP/1.1"
    server_version = "scheduler"
    sys_version = ""
    timeout = 60
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        self._respond()

    def do_HEAD(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def do_DELETE(self) -> None:
        self._respond()

    def _respond(self) -> None:
        self.server.begin()
        began = time.monotonic()
        try:
            shown, status = self._answer(urlsplit(self.path).path)
        finally:
            self.server.finish()
        if shown != "/health":
            # By the door's name: a path may hold an invitation.
            took = (time.monotonic() - began) * 1000
            print(f"{self.command} {shown} {status} {took:.0f} ms", file=sys.stderr, flush=True)

    def _answer(self, path: str) -> tuple[str, int]:
        """Answer the request; how the log names it, and the status."""
        if path == "/api" or path.startswith("/api/"):
            return "/api/…", self._hand_on()
        length = self.headers.get("Content-Length", "0")
        if length != "0" or "Transfer-Encoding" in self.headers:
            self.close_connection = True
        if path == "/live":
            return "/live", self._live()
        if self.command not in {"GET", "HEAD"}:
            return "-", self._send(405, "text/plain; charset=utf-8", b"There is nothing here to change.\n")
        if path == "/health":
            return "/health", self._send(200, "application/json", b'{"ok": true}')
        found = self.server.pages.find(path)
        if found is None:
            return "-", self._send(404, "text/plain; charset=utf-8", b"There is nothing here.\n")
        shown, page = found
        caching = {"ETag": page.etag, "Cache-Control": "no-cache"}
        if self.headers.get("If-None-Match") == page.etag:
            return shown, self._send(304, "", b"", caching)
        return shown, self._send(200, page.content_type, page.body, caching)

    def _live(self) -> int:
        try:
            opening = accept(self.command, {name.lower(): value for name, value in self.headers.items()})
        except BadHandshake as bad:
            extra = {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"} if bad.status == 426 else {}
            return self._send(bad.status, "text/plain; charset=utf-8", f"{bad}\n".encode(), extra)
        self.close_connection = True
        self.connection.sendall(opening)
        self.server.hub.serve(WebSocket(self.connection))
        return 101

    def _hand_on(self) -> int:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal() or int(length) > LARGEST_BODY:
            self.close_connection = True
            return self._trouble(413, "The body is too long, or does not say how long it is.")
        body = self.rfile.read(int(length)) if int(length) else None
        headers = {name: value for name in HANDED_ON if (value := self.headers.get(name)) is not None}
        try:
            answer = self.server.backend.ask(self.command, self.path, headers, body)
        except Unreachable:
            return self._trouble(502, "The bookings cannot be reached at the moment. Try again.")
        return self._send(answer.status, answer.content_type, answer.body, {"Cache-Control": "no-store"})

    def _trouble(self, status: int, words: str) -> int:
        return self._send(status, "application/json; charset=utf-8", json.dumps({"error": words}).encode())

    def _send(self, status: int, content_type: str, body: bytes, extra: dict[str, str] | None = None) -> int:
        self.send_response_only(status)
        if content_type:
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else body)
        return status

    def log_message(self, *_words: object) -> None:
        """Said by `_respond`."""
