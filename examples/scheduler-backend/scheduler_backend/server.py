"""HTTP around the API: JSON, sizes, one log line a request, and an end that lets the requests at work finish."""

import json
import sqlite3
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from scheduler_backend.api import Api, Ask
from scheduler_backend.bookings import Refused

LARGEST_BODY = 64 * 1024
END_GRACE_S = 5.0


class Server(ThreadingHTTPServer):
    """Serves an API on loopback until `end`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, api: Api) -> None:
        self.api = api
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
        """Wait for the requests at work, for some seconds at most."""
        with self._idle:
            self._idle.wait_for(lambda: self._at_work == 0, END_GRACE_S)


class Handler(BaseHTTPRequestHandler):
    """One connection; requests follow one another on it."""

    protocol_version = "HTTP/1.1"
    server_version = "scheduler"
    sys_version = ""
    timeout = 60
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def do_DELETE(self) -> None:
        self._respond()

    def _respond(self) -> None:
        self.server.begin()
        began = time.monotonic()
        try:
            shown, status, content = self._answer()
            self._send(status, content)
        finally:
            self.server.finish()
        if shown != "/health":
            # By the door's name: a path may hold an invitation.
            took = (time.monotonic() - began) * 1000
            print(f"{self.command} {shown} {status} {took:.0f} ms", file=sys.stderr, flush=True)

    def _answer(self) -> tuple[str, int, Any]:
        """How the log names the request, and its answer."""
        shown = "-"
        try:
            parts = urlsplit(self.path)
            body = self._body()
            if self.command == "GET" and parts.path == "/health":
                return "/health", 200, {"ok": True}
            shown, answer, named = self.server.api.find(self.command, parts.path)
            return shown, *answer(Ask(named, dict(parse_qsl(parts.query)), body))
        except Refused as refused:
            return shown, refused.status, {"error": refused.words}
        except sqlite3.Error as error:
            print(f"{self.command} {shown}: {error}", file=sys.stderr, flush=True)
            return shown, 503, {"error": "The bookings cannot be reached at the moment. Try again."}

    def _body(self) -> dict[str, Any]:
        """The JSON object that was sent; empty for none. Raises Refused."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            self.close_connection = True
            raise Refused(411, "Say how long the body is.")
        if int(length) > LARGEST_BODY:
            self.close_connection = True
            raise Refused(413, "The body is too long.")
        raw = self.rfile.read(int(length))
        if self.command != "POST":
            return {}
        # A form of another site cannot send this type without asking first (CORS).
        if self.headers.get_content_type() != "application/json":
            raise Refused(415, "The body must be application/json.")
        try:
            document = json.loads(raw)
        except ValueError:
            raise Refused(400, "The body is not JSON.") from None
        if not isinstance(document, dict):
            raise Refused(400, "The body is not a JSON object.")
        return document

    def _send(self, status: int, content: Any) -> None:
        body = json.dumps(content, ensure_ascii=False).encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: object) -> None:
        """Said by `_respond`."""
