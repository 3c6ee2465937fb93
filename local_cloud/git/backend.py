"""One request answered by `git http-backend` (CGI, RFC 3875): bytes go through in pieces, both ways, none are kept.

git checks the content type, inflates gzip bodies, speaks protocol v2 and guards a push by its quarantine; here is only what
carries the bytes, and what ends the processes when the client goes away or the server does.
"""

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from local_cloud.git.names import RepositoryName
from local_cloud.git.program import environment

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PIECE_BYTES = 64 * 1024
END_GRACE_S = 2.0
# What the backend may say about its answer; the rest of the head is ours.
_PASSED_ON = frozenset({b"content-type", b"cache-control", b"expires", b"pragma"})


@dataclass(frozen=True)
class GitRequest:
    """A request that was let through; `service` is git-upload-pack or git-receive-pack."""

    method: str
    repository: RepositoryName
    path: str
    service: str
    may_push: bool
    content_type: str
    content_length: str
    content_encoding: str
    protocol: str

    def variables(self, repositories: Path) -> dict[str, str]:
        """The CGI variables. None of them holds a credential."""
        known = {
            "CONTENT_TYPE": self.content_type,
            "CONTENT_LENGTH": self.content_length,  # without one the body ends where it ends
            "HTTP_CONTENT_ENCODING": self.content_encoding,
            "GIT_PROTOCOL": self.protocol,
        }
        return {
            "GIT_PROJECT_ROOT": str(repositories),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.method,
            "PATH_INFO": f"/{self.repository}.git/{self.path}",
            "QUERY_STRING": f"service={self.service}" if self.method == "GET" else "",
            "REMOTE_ADDR": "127.0.0.1",
            # Somebody who is signed in may push; without a name, git only reads.
            **({"REMOTE_USER": "developer"} if self.may_push else {}),
            **{name: value for name, value in known.items() if value},
        }


@dataclass
class Carried:
    """What went through."""

    status: int = HTTPStatus.BAD_GATEWAY
    taken_bytes: int = 0
    sent_bytes: int = 0


async def answer(request: GitRequest, repositories: Path, receive: Receive, send: Send) -> Carried:
    """Have git answer a request; whatever happens, its processes are gone at the end."""
    carried = Carried()
    process = await asyncio.create_subprocess_exec(
        "git",
        "http-backend",
        env=environment(**request.variables(repositories)),
        cwd=repositories,
        stdin=PIPE,
        stdout=PIPE,
        limit=PIECE_BYTES,
        start_new_session=True,
    )
    feeding = asyncio.create_task(_feed(process, receive, carried))
    try:
        await _carry_answer(process, send, carried)
        await process.wait()
    finally:
        feeding.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await feeding
        await _end(process)
    return carried


async def _feed(process: Process, receive: Receive, carried: Carried) -> None:
    """Hand the body on, then wait for the client's end; when it goes away early, end the work."""
    body = process.stdin
    if body is None:
        raise RuntimeError("the process was started without a pipe")
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            _signal(process, signal.SIGTERM)
            return
        piece = message.get("body", b"")
        carried.taken_bytes += len(piece)
        # A backend that has heard enough closes its end; the rest of the body is read and dropped.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if piece and not body.is_closing():
                body.write(piece)
                await body.drain()
        if not message.get("more_body", False):
            body.close()


async def _carry_answer(process: Process, send: Send, carried: Carried) -> None:
    answered = process.stdout
    if answered is None:
        raise RuntimeError("the process was started without a pipe")
    try:
        head = await answered.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        words = b"git could not answer. The server's log says why.\n"
        carried.sent_bytes = len(words)
        await send(
            {
                "type": "http.response.start",
                "status": carried.status,
                "headers": [(b"content-type", b"text/plain")],
            }
        )
        await send({"type": "http.response.body", "body": words})
        return
    carried.status, headers = _parsed(head)
    await send({"type": "http.response.start", "status": carried.status, "headers": headers})
    while piece := await answered.read(PIECE_BYTES):
        carried.sent_bytes += len(piece)
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _parsed(head: bytes) -> tuple[int, list[tuple[bytes, bytes]]]:
    status, headers = int(HTTPStatus.OK), []
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"status":
            status = int(value.split()[0])
        elif name.lower() in _PASSED_ON:
            headers.append((name.lower(), value.strip()))
    return status, headers


async def _end(process: Process) -> None:
    """End the backend and what it started: git cleans up at SIGTERM, SIGKILL is for what does not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            return
        _signal(process, number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), END_GRACE_S)


def _signal(process: Process, number: signal.Signals) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
