"""The service as a process: what it answers over HTTP, what it logs, and how it ends."""

import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
KEY = "canary-canary-canary-canary"


class Service(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.environment = {
            "PATH": os.environ["PATH"],
            "CALENDAR_SIGNING_KEY": KEY,
            "PORT": str(self.port),
            "DATA_DIR": f"{directory.name}/data",
        }
        self.log = Path(directory.name) / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "scheduler_backend"],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        self.addCleanup(self.end)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if self.ask("GET", "/health")[0] == 200:
                    return
            except OSError:
                time.sleep(0.02)
        self.fail(self.log.read_text())

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(10)

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            sent = None if body is None else json.dumps(body).encode()
            connection.request(method, path, sent, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def test_a_meeting_from_booking_to_answer(self) -> None:
        day = date.today().isoformat()
        status, rooms = self.ask("GET", "/api/rooms")
        self.assertEqual((status, rooms["organization"]), (200, "Acme"))
        asked = {"room": "pine", "day": day, "start": "17:00", "end": "17:30", "title": "Tea", "who": "Bob"}
        status, made = self.ask("POST", "/api/bookings", asked)
        self.assertEqual(status, 201)
        self.assertEqual(self.ask("POST", "/api/bookings", asked)[0], 409)
        status, invited = self.ask("POST", f"/api/bookings/{made['id']}/invitations", {"guest": "Rita"})
        self.assertEqual(status, 201)
        where = f"/api/invitations/{invited['token']}"
        self.assertEqual(self.ask("GET", where)[1]["title"], "Tea")
        self.assertEqual(self.ask("POST", where, {"coming": True})[0], 200)
        self.assertEqual(self.ask("POST", where, {"coming": "yes"})[0], 422)
        self.assertEqual(self.ask("GET", where[:-1])[0], 404)
        listed = self.ask("GET", f"/api/bookings?day={day}")[1]["bookings"]
        tea = next(one for one in listed if one["id"] == made["id"])
        self.assertEqual(tea["answers"], [{"guest": "Rita", "coming": True}])
        self.assertEqual(self.ask("DELETE", f"/api/bookings/{made['id']}")[0], 200)
        self.assertEqual(self.ask("GET", where)[0], 404)
        said = self.log.read_text()
        self.assertIn("POST /api/invitations/… 200", said)
        self.assertNotIn(invited["token"], said)
        self.assertNotIn(KEY, said)

    def test_bad_requests_get_words(self) -> None:
        for method, path, body, status in (
            ("GET", "/api/nothing", None, 404),
            ("GET", "/api/bookings?day=tomorrow", None, 422),
            ("GET", "/api/changes?after=x", None, 422),
            ("POST", "/api/rooms", {}, 405),
            ("POST", "/api/bookings", {}, 422),
            ("POST", "/api/bookings", [], 400),
            ("POST", "/api/bookings", {"room": 1}, 422),
            ("POST", "/api/bookings", {"title": "x" * 70_000}, 413),
            ("DELETE", "/api/bookings/999999", None, 404),
        ):
            answered, document = self.ask(method, path, body)
            self.assertEqual(answered, status, path)
            self.assertTrue(document["error"])
        status, _ = self.ask("POST", "/api/bookings", {}, **{"Content-Type": "text/plain"})
        self.assertEqual(status, 415)

    def test_it_ends_at_once_although_somebody_waits_and_answers_them_first(self) -> None:
        number = self.ask("GET", "/api/changes")[1]["number"]
        answers: list[tuple[int, Any]] = []
        waiting = threading.Thread(
            target=lambda: answers.append(self.ask("GET", f"/api/changes?after={number}&wait=20"))
        )
        waiting.start()
        time.sleep(0.2)
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(10), 0)
        self.assertLess(time.monotonic() - began, 5)
        waiting.join()
        self.assertEqual(answers, [(200, {"number": number})])

    def test_the_smoke_check_and_the_listing_tell_the_truth(self) -> None:
        def run(module: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-m", module], cwd=ROOT, env=self.environment, capture_output=True, text=True
            )

        self.assertEqual(run("scheduler_backend.smoke").returncode, 0)
        self.assertEqual(run("scheduler_backend.listing").returncode, 0)
        self.end()
        done = run("scheduler_backend.smoke")
        self.assertEqual(done.returncode, 1)
        self.assertIn("does not answer", done.stderr)

    def test_who_hangs_up_in_the_middle_is_no_fault(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port)) as hasty:
            hasty.sendall(b"GET /api/")
            # A close that drops what is under way is a reset to the other side.
            hasty.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.assertEqual(self.ask("GET", "/health")[0], 200)
        self.assertEqual(self.end(), 0)
        self.assertNotIn("Traceback", self.log.read_text())


class WithoutAKey(unittest.TestCase):
    def test_it_says_what_is_missing(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "scheduler_backend"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.returncode, 2)
        self.assertIn("CALENDAR_SIGNING_KEY needs", done.stderr)


if __name__ == "__main__":
    unittest.main()
