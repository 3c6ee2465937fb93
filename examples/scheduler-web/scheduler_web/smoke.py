"""`python3 -m scheduler_web.smoke`: whether pages, assets, WebSocket and the way to the backend work; says what does not."""

import base64
import http.client
import os
import socket
import sys
from collections.abc import Callable

PORT = int(os.environ.get("PORT", "3000"))


def main() -> int:
    checks: dict[str, Callable[[], bool]] = {
        "The page": lambda: b"<main" in _get("/"),
        "The script": lambda: b"WebSocket" in _get("/assets/live.js"),
        "The backend": lambda: b'"rooms"' in _get("/api/rooms"),
        "The WebSocket": _opens,
    }
    for what, works in checks.items():
        try:
            if works():
                continue
            print(f"{what} answers something else.", file=sys.stderr)
        except (OSError, http.client.HTTPException) as error:
            print(f"{what} does not answer: {error}", file=sys.stderr)
        return 1
    print("Page, script, backend and WebSocket answer.")
    return 0


def _get(path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.read() if answer.status == http.client.OK else b""
    finally:
        connection.close()


def _opens() -> bool:
    key = base64.b64encode(os.urandom(16)).decode()
    with socket.create_connection(("127.0.0.1", PORT), timeout=10) as connection:
        connection.sendall(
            f"GET /live HTTP/1.1\r\nHost: localhost:{PORT}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        return connection.recv(64).startswith(b"HTTP/1.1 101 ")


if __name__ == "__main__":
    sys.exit(main())
