"""Asks whether a service works, from inside its namespace and as its account, so that an answer costs it no more than its own
rights could get (THREATS H1). Follows no redirect. Standard library only.

Entered as one of the daemon's own programs (`isolation.enter`). Reads {"health": CHECK or null, "smoke": CHECK or null,
"environment": {...}} from standard input; writes a line of JSON whenever the answer changes:
{"health": "healthy" | "unhealthy", "reason": TEXT} and, once, {"smoke": true | false, "reason": TEXT}.
"""

import base64
import encodings.idna  # noqa: F401 - as the account, no more of the library may be readable
import json
import os
import socket
import subprocess
import time
from typing import Any, BinaryIO

# While a service starts it is asked often, and then less and less: nobody is kept waiting for more than a twentieth of what it took anyway.
FIRST_PAUSE_S, SLOWER, LONGEST_PAUSE_S = 0.002, 1.05, 0.5
MOST_BODY = 65536
LONGEST_LINE, MOST_HEADERS = 65536, 200


class NotHttp(Exception):
    """What answers does not speak HTTP."""


def ask(check: dict[str, Any], environment: dict[str, str]) -> str:
    """Why the check fails; empty if it passes."""
    kind, timeout_s = check["kind"], check["timeout_s"]
    if kind == "command":
        return _ask_command(check["command"], environment, timeout_s)
    address = ("127.0.0.1", check["port"])
    try:
        if kind == "tcp":
            socket.create_connection(address, timeout=timeout_s).close()
            return ""
        if kind == "reply":
            refused = _ask_reply(address, check, timeout_s)
            return refused or (ask(check["also"], environment) if check["also"] else "")
        return _ask_http(address, check, timeout_s)
    except ConnectionRefusedError:
        return f"nothing listens on port {check['port']}"
    except TimeoutError:
        return f"no answer within {timeout_s:g} s on port {check['port']}"
    except NotHttp:
        return f"what answers on port {check['port']} does not speak HTTP"
    except OSError as error:
        return f"port {check['port']}: {error.strerror or 'the connection broke'}"


def _ask_http(address: tuple[str, int], check: dict[str, Any], timeout_s: float) -> str:
    # By hand: importing http.client takes longer than many a service takes to start, and competes with it for the processor.
    asked = (
        f"GET {check['path']} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: envforge-check\r\n"
        "Accept-Encoding: identity\r\nConnection: close\r\n\r\n"
    )
    with (
        socket.create_connection(address, timeout=timeout_s) as connection,
        connection.makefile("rb") as answer,
    ):
        connection.sendall(asked.encode())
        status = _read_answer(answer)
    low, high = check["expect_status"][0], check["expect_status"][-1]
    if low <= status <= high:
        return ""
    wanted = str(low) if low == high else f"{low} to {high}"
    return f"{check['path']} answered {status}, expected {wanted}"


def _read_answer(answer: BinaryIO) -> int:
    """The status, after the body was taken (RFC 9112): who answers should not meet a connection that breaks.

    Raises:
        NotHttp: it is no answer.
    """
    status, length, chunked = 0, MOST_BODY, False
    while status < 200:
        words = answer.readline(LONGEST_LINE).split(None, 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
            raise NotHttp
        status = int(words[1])
        for _ in range(MOST_HEADERS):
            name, _, value = answer.readline(LONGEST_LINE).strip().partition(b":")
            if not name:
                break
            if name.lower() == b"content-length" and value.strip().isdigit():
                length = min(int(value), MOST_BODY)
            chunked = chunked or (name.lower() == b"transfer-encoding" and b"chunked" in value.lower())
        else:
            raise NotHttp
    if status in (204, 304):
        return status
    body = b""
    while len(body) < length and not (chunked and body.endswith(b"0\r\n\r\n")):
        more = answer.read1(length - len(body))  # type: ignore[attr-defined]  # a BufferedReader
        if not more:
            break
        body += more
    return status


def _ask_reply(address: tuple[str, int], check: dict[str, Any], timeout_s: float) -> str:
    """Say something in the server's own protocol, and look for what one that is ready says."""
    wanted = check["expect"].encode()
    said = b""
    with socket.create_connection(address, timeout=timeout_s) as connection:
        connection.sendall(base64.b64decode(check["send"]))
        while wanted not in said and len(said) < MOST_BODY:
            more = connection.recv(4096)
            if not more:
                break
            said += more
    return "" if wanted in said else f"what answers on port {check['port']} is not ready yet"


def _ask_command(command: list[str], environment: dict[str, str], timeout_s: float) -> str:
    try:
        ran = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"the check's command did not end within {timeout_s:g} s"
    except OSError as error:
        return f"the check's command could not be started: {error.strerror}"
    return f"the check's command ended with exit status {ran.returncode}" if ran.returncode else ""


def tell(**news: Any) -> None:
    os.write(1, json.dumps(news).encode() + b"\n")


def until_healthy(check: dict[str, Any], environment: dict[str, str]) -> None:
    """Ask until it passes, telling each new reason why it does not."""
    pause, told = FIRST_PAUSE_S, ""
    while reason := ask(check, environment):
        if reason != told:
            tell(health="unhealthy", reason=reason)
            told = reason
        time.sleep(pause)
        pause = min(pause * SLOWER, LONGEST_PAUSE_S)
    tell(health="healthy", reason="")


def ask_for_a_while(check: dict[str, Any], environment: dict[str, str]) -> str:
    """Ask until it passes or its time is over: services come up side by side, and it may need one that is later than its own."""
    ends_at = time.monotonic() + check["timeout_s"]
    while True:
        left = max(ends_at - time.monotonic(), 0.1)
        reason = ask(check | {"timeout_s": left}, environment)
        if not reason or time.monotonic() + LONGEST_PAUSE_S >= ends_at:
            return reason
        time.sleep(LONGEST_PAUSE_S)


def watch(check: dict[str, Any], environment: dict[str, str]) -> None:
    """Ask at the check's pace, and tell when the answer holds."""
    failures, healthy = 0, True
    while True:
        time.sleep(check["every_s"])
        reason = ask(check, environment)
        failures = failures + 1 if reason else 0
        if healthy and failures >= check["unhealthy_after"]:
            healthy = False
            tell(health="unhealthy", reason=reason)
        elif not healthy and not reason:
            healthy = True
            tell(health="healthy", reason="")


def main() -> int:
    """Ask for as long as the service lives."""
    with open(0, closefd=False) as given:
        asked = json.load(given)
    health, smoke, environment = asked["health"], asked["smoke"], asked["environment"]
    if health:
        until_healthy(health, environment)
    else:
        tell(health="healthy", reason="")
    if smoke:
        reason = ask_for_a_while(smoke, environment)
        tell(smoke=not reason, reason=reason)
    if health:
        watch(health, environment)
    return 0
