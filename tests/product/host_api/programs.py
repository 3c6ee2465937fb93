"""The VM's program against the real control plane: a metadata service, and runs of it in this process or in one of its own."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

from envforge_daemon.config import Config
from envforge_daemon.parts import Context, Doing, Part, Task
from envforge_daemon.program import Program
from envforge_protocol.host.commands import CommandRan, Done, RunCommand, StopRuntime
from envforge_protocol.host.reports import RootEnded
from tests.product.host_api.newcomers import ROLE, Newcomer


class Metadata:
    """The metadata service of one VM, version 2: nothing without a session token."""

    def __init__(self, newcomer: Newcomer) -> None:
        keys = newcomer.credentials
        answers = {
            "/latest/meta-data/instance-id": newcomer.instance_id,
            "/latest/meta-data/iam/security-credentials/": ROLE,
            f"/latest/meta-data/iam/security-credentials/{ROLE}": json.dumps(
                {"AccessKeyId": keys.access_key, "SecretAccessKey": keys.secret_key, "Token": keys.token}
            ),
        }

        class Door(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                self._answer(200, "session" if "X-aws-ec2-metadata-token-ttl-seconds" in self.headers else "")

            def do_GET(self) -> None:
                known = self.headers.get("X-aws-ec2-metadata-token") == "session" and self.path in answers
                self._answer(200 if known else 401, answers[self.path] if known else "")

            def _answer(self, status: int, text: str) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: Any) -> None:
                return

        self.server = HTTPServer(("127.0.0.1", 0), Door)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def end(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@dataclass
class Seen:
    """What the commands of a run did."""

    began: list[UUID] = field(default_factory=list)
    ended: list[UUID] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)


def parts(seen: Seen) -> tuple[type[Part], ...]:
    """A part that stops runtimes when the test says so, and counts."""

    class Counting(Part):
        def __init__(self, context: Context) -> None:
            super().__init__(context)
            self.running = 0

        def commands(self) -> Iterable[Doing]:
            return (Doing(StopRuntime, self._stop, lane="work"), Doing(RunCommand, self._run))

        async def _stop(self, task: Task, asked: StopRuntime) -> Done:
            seen.began.append(task.id)
            task.progress("waiting")
            while not seen.go_on.is_set():  # noqa: ASYNC110 - it is set in another thread
                await asyncio.sleep(0.01)
            await self.context.outbox.add(
                RootEnded(workspace_id=asked.workspace.id, request_id=task.id, cause="expired")
            )
            seen.ended.append(task.id)
            return Done(kind="stop_runtime", ended=3)

        async def _run(self, task: Task, asked: RunCommand) -> CommandRan:
            raise ZeroDivisionError(asked.command)

    return (Counting,)


class Run:
    """One run of the program in a thread of this process."""

    def __init__(self, config: Config, kinds: tuple[type[Part], ...]) -> None:
        self._program: Program | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.error: BaseException | None = None

        async def play() -> None:
            self._loop = asyncio.get_running_loop()
            self._program = Program(config, kinds)
            await self._program.run()

        def run() -> None:
            try:
                asyncio.run(play())
            except BaseException as error:  # noqa: BLE001 - the test looks at it
                self.error = error

        self.thread = threading.Thread(target=run)
        self.thread.start()

    def end(self) -> None:
        """As SIGTERM does."""
        until(lambda: self._program is not None or not self.thread.is_alive())
        if self._loop is not None and self._program is not None and self.thread.is_alive():
            self._loop.call_soon_threadsafe(self._program.ending.set)
        self.thread.join(timeout=30)
        assert not self.thread.is_alive()


def until(true: Callable[[], Any], *, within_s: float = 30.0) -> Any:
    """What it returns as soon as it is true."""
    deadline = time.monotonic() + within_s
    while not (found := true()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)
    return found


def configuration(newcomer: Newcomer, metadata: Metadata, root: Path, **more: Any) -> dict[str, Any]:
    return {
        "control_plane": newcomer.address,
        "host_id": str(newcomer.host.id),
        "generation": newcomer.host.generation,
        "role": "runtime",
        "region": newcomer.cloud.region,
        "image": "2026.11",
        "listen_address": "127.0.0.1",
        "metadata_endpoint": metadata.url,
        "sts_endpoint": newcomer.cloud.server.url,
        "state_dir": str(root / "state"),
        "run_dir": str(root / "run"),
        "files_root": str(root / "files"),
        "machine": "shared",
        "walls": "where_possible",
    } | more
