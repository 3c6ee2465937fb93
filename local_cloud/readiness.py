"""Ways to ask whether a server is ready; each answers within a second and never raises."""

import http.client
import os
import socket
from pathlib import Path

TIMEOUT_S = 0.8
LOG_WINDOW_BYTES = 64 * 1024
START_MARK = "--- started "


def tcp(port: int) -> bool:
    """Whether something accepts connections on a loopback port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S):
            return True
    except OSError:
        return False


def http_ok(port: int, path: str) -> bool:
    """Whether a loopback server answers a GET with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path, headers={"Host": f"localhost:{port}"})
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def log_says(log: Path, words: str) -> bool:
    """Whether a log has these words since the last start of its part."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - LOG_WINDOW_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return False
    return words in text.rpartition(START_MARK)[2]
