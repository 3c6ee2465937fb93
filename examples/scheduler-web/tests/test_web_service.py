"""The service as a process: pages, the way to the backend, and how it ends with a socket open."""

import base64
import http.client
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "scheduler_web" / "pages"


class Echo(BaseHTTPRequestHandler):
    """A backend that says what reached it."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        said = {"path": self.path, "body": body.decode(), "cookie": self.headers.get("Cookie")}
        self.answer(201, json.dumps(said).encode())

    def do_GET(self) -> None:
        self.answer(200, b'{"number": 1, "rooms": []}')

    def answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_words: object) -> None:
        pass


class Service(unittest.TestCase):
    def setUp(self) -> None:
        backend = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
        threading.Thread(target=backend.serve_forever, args=(0.02,), daemon=True).start()
        self.addCleanup(backend.server_close)
        self.addCleanup(backend.shutdown)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.environment = {
            "PATH": os.environ["PATH"],
            "PORT": str(self.port),
            "BACKEND_URL": f"http://127.0.0.1:{backend.server_port}",
        }
        log = tempfile.TemporaryFile()
        self.addCleanup(log.close)
        self.log = log
        self.process = subprocess.Popen(
            [sys.executable, "-m", "scheduler_web"], cwd=ROOT, env=self.environment, stdout=log, stderr=log
        )
        self.addCleanup(self.end)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if self.ask("GET", "/health")[0] == 200:
                    return
            except OSError:
                time.sleep(0.02)
        self.fail("the service did not start")

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(10)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def test_who_hangs_up_in_the_middle_is_no_fault(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port)) as hasty:
            hasty.sendall(b"GET /live")
            # A close that drops what is under way is a reset to the other side.
            hasty.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.assertEqual(self.ask("GET", "/health")[0], 200)
        self.assertEqual(self.end(), 0)
        self.log.seek(0)
        self.assertNotIn(b"Traceback", self.log.read())

    def test_pages_come_with_their_policy_and_are_asked_for_again_cheaply(self) -> None:
        status, headers, body = self.ask("GET", "/")
        self.assertEqual((status, body), (200, (PAGES / "day.html").read_bytes()))
        self.assertIn("default-src 'self'", headers["Content-Security-Policy"])
        again = self.ask("GET", "/", headers={"If-None-Match": str(headers["ETag"])})
        self.assertEqual((again[0], again[2]), (304, b""))
        self.assertEqual(self.ask("HEAD", "/")[2], b"")
        self.assertEqual(self.ask("GET", f"/invitation/{'x' * 40}")[0], 200)
        for path in ("/nothing", "/assets/../day.html", "/assets/none.js", "/day.html", "/invitation/x"):
            self.assertEqual(self.ask("GET", path)[0], 404, path)
        self.assertEqual(self.ask("POST", "/", b"x")[0], 405)

    def test_every_address_in_the_pages_is_there_and_ours(self) -> None:
        for page in PAGES.glob("*.html"):
            for address in re.findall(r'(?:src|href)="([^"#]+)"', page.read_text()):
                self.assertEqual(self.ask("GET", address)[0], 200, address)
        for asset in PAGES.rglob("*.*"):
            self.assertNotRegex(asset.read_text().replace("http://www.w3.org/2000/svg", ""), r"https?://\w")

    def test_the_backend_gets_what_it_needs_and_no_cookies(self) -> None:
        status, _, body = self.ask(
            "POST", "/api/x?y=1", b'{"a": 1}', {"Cookie": "c=1", "Content-Type": "application/json"}
        )
        self.assertEqual(status, 201)
        self.assertEqual(json.loads(body), {"path": "/api/x?y=1", "body": '{"a": 1}', "cookie": None})
        self.assertEqual(self.ask("POST", "/api/x", b"x" * 70_000)[0], 413)

    def test_sigterm_closes_the_sockets_with_their_reason_and_ends(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as client:
            key = base64.b64encode(bytes(16)).decode()
            client.sendall(
                f"GET /live HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
            )
            heard = b""
            while b"presence" not in heard:
                heard += client.recv(4096)
            self.process.send_signal(signal.SIGTERM)
            heard = b""
            while piece := client.recv(4096):
                heard += piece
            self.assertIn(b"\x03\xe9the service is going away", heard)
        self.assertEqual(self.process.wait(10), 0)

    def test_the_smoke_check_tells_the_truth(self) -> None:
        def run() -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-m", "scheduler_web.smoke"],
                cwd=ROOT,
                env=self.environment,
                capture_output=True,
                text=True,
                check=False,
            )

        self.assertEqual(run().returncode, 0)
        self.end()
        self.assertIn("does not answer", run().stderr)


if __name__ == "__main__":
    unittest.main()
