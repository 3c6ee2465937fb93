"""H4: what is asked of STS, and which answers are none."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings

from envforge_protocol.host import joining as wire
from hosts import sts
from tests.aws.conftest import ACCOUNT
from tests.product.host_api.newcomers import Newcomer


class Crooked(BaseHTTPRequestHandler):
    """Something that answers in STS' place, and keeps what it was asked."""

    answer: tuple[int, dict[str, str], bytes] = (200, {}, b"")
    asked: list[tuple[str, dict[str, str], bytes]] = []

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.asked.append((self.path, dict(self.headers), self.rfile.read(length)))
        status, headers, body = self.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.asked.append((self.path, {}, b""))

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def crooked() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Crooked)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    Crooked.asked = []
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def identity(**changes: Any) -> bytes:
    found = {"Account": ACCOUNT, "Arn": "arn:aws:sts::1:assumed-role/host/i", "UserId": "AROA:i"} | changes
    return json.dumps({"GetCallerIdentityResponse": {"GetCallerIdentityResult": found}}).encode()


@pytest.mark.parametrize(
    "answer",
    [
        (302, {"Location": "http://127.0.0.1:1/"}, b""),
        (307, {"Location": "http://127.0.0.1:1/"}, b""),
        (500, {}, b""),
        (200, {}, b"<xml/>"),
        (200, {}, identity(Arn=["several"])),
        (200, {}, identity().replace(b'{"Account"', b'{"Account": "1", "Account"')),
        (200, {}, b" " * (17 * 1024)),
        (200, {"Content-Length": "100"}, b"{}"),
    ],
)
def test_h4_an_answer_that_is_none_lets_nobody_in(
    newcomer: Newcomer, crooked: str, answer: tuple[int, dict[str, str], bytes]
) -> None:
    Crooked.answer = answer
    with override_settings(STS_URL=crooked):
        refused = newcomer.join()
    assert (refused.status_code, refused.json()["word"]) == (503, "unavailable")
    assert len(Crooked.asked) == 1, "nowhere else is asked"


def test_h4_exactly_one_request_is_ever_built(newcomer: Newcomer, crooked: str) -> None:
    Crooked.answer = (403, {}, b"")
    with override_settings(STS_URL=crooked):
        request = newcomer.request()
        assert newcomer.post("join", request).json()["word"] == "signature"
    [(path, headers, body)] = Crooked.asked
    assert (path, body) == ("/", wire.IDENTITY_BODY.encode())
    assert {name.lower() for name in headers} == {
        *wire.SIGNED_HEADERS,
        *("accept", "authorization", "connection", "content-length", "accept-encoding"),
    } - ({"accept-encoding"} if "Accept-Encoding" not in headers else set())
    assert headers[wire.NONCE_HEADER] == request["nonce"]
    assert headers[wire.AUDIENCE_HEADER] == settings.HOST_API_URL


def test_h4_sts_is_not_waited_for_for_ever(newcomer: Newcomer, monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setattr(sts, "STEP_TIMEOUT_S", 0.3)
    silent = socket.create_server(("127.0.0.1", 0))
    with silent, override_settings(STS_URL=f"http://127.0.0.1:{silent.getsockname()[1]}"):
        began = time.monotonic()
        assert newcomer.join().status_code == 503
    assert time.monotonic() - began < 5
