"""What the checker makes of a service's answer; each from a real socket."""

import socket
import threading
import time
from typing import Any

import pytest

from envforge_daemon.keeper import checker

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nup\n\r\n0\r\n\r\n"


def asked_of(answer: bytes, *, stays: bool, **others: Any) -> tuple[str, bytes]:
    """The reason for the check to fail, and what it asked; with `stays` the service does not hang up."""
    heard: list[bytes] = []
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                heard.append(connection.recv(65536))
                connection.sendall(answer)
                if stays:
                    over.wait(10)

        serving = threading.Thread(target=serve)
        serving.start()
        check = {"kind": "http", "port": listening.getsockname()[1], "path": "/health", "timeout_s": 2.0}
        reason = checker.ask(check | {"expect_status": [200, 399]} | others, {})
        over.set()
        serving.join()
    return reason, heard[0]


@pytest.mark.parametrize("stays", [False, True])
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup",
        b"HTTP/1.0 204 No Content\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 302 Found\r\nLocation: /\r\ncontent-length: 0\r\n\r\n",
        CHUNKED,
    ],
)
def test_an_answer_is_read_to_its_end_and_not_beyond(answer: bytes, stays: bool) -> None:
    """A service that keeps the connection open is not waited for."""
    began = time.monotonic()
    assert asked_of(answer, stays=stays)[0] == ""
    assert time.monotonic() - began < 1.5


def test_it_asks_as_a_client_does() -> None:
    _, asked = asked_of(CHUNKED, stays=False)
    assert asked.startswith(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
    assert asked.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "answer", [b"", b"+PONG\r\n", b"HTTP/1.1\r\n\r\n", b"HTTP/1.1 OK 200\r\n\r\n", b"\r\n\r\n"]
)
def test_what_is_no_http_is_said_so(answer: bytes) -> None:
    assert "does not speak HTTP" in asked_of(answer, stays=False)[0]


def test_another_status_and_silence_are_told() -> None:
    wrong = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
    assert asked_of(wrong, stays=False)[0] == "/health answered 503, expected 200 to 399"
    assert "no answer within 0.2 s" in asked_of(b"HTTP/1.1 200 OK\r\n", stays=True, timeout_s=0.2)[0]
    headers = b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * (checker.MOST_HEADERS + 1)
    assert "does not speak HTTP" in asked_of(headers, stays=False)[0]
