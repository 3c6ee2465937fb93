"""Starts the parts of the local cloud, keeps them running, and stops exactly what it started."""

import contextlib
import enum
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from local_cloud.console import Console
from local_cloud.errors import LocalCloudError
from local_cloud.home import REPOSITORY, Account, Home
from local_cloud.processes import HOME_MARK, STOP_GRACE_S, Records
from local_cloud.readiness import START_MARK

LAUNCHER = Path(__file__).with_name("launch.py")
TICK_S = 0.05
BACKOFF_S = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
STEADY_AFTER_S = 60.0
FAILED_STARTS_ALLOWED = 3
TAIL_LINES = 15
LOG_LIMIT_BYTES = 5_000_000


@dataclass(frozen=True)
class Part:
    """One process of the local cloud.

    `environment` is complete: nothing of the caller's environment is added to it. `prepare` runs before each
    start; `ready` must answer within a second and not raise.
    """

    name: str
    title: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[], bool] = lambda: True
    prepare: Callable[[], None] | None = None
    needs: tuple[str, ...] = ()
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    ready_within_s: float = 60.0
    directory: Path = REPOSITORY


class State(enum.Enum):
    """Where a part is on its way."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    BACKING_OFF = "backing off"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Crash:
    """A part ended although nobody asked it to."""

    part: Part
    how: str
    log_tail: str
    restart_in_s: float
    was_ready: bool


class PartFailedError(LocalCloudError):
    """A part did not become ready."""


class _Child:
    def __init__(self, part: Part, log: Path) -> None:
        self.part = part
        self.log = log
        self.state = State.WAITING
        self.process: subprocess.Popen[bytes] | None = None
        self.asked_at = time.monotonic()
        self.started_at = 0.0
        self.next_start_at = 0.0
        self.crashes = 0
        self.was_ready = False
        self.stop_sent_at: float | None = None
        self.failure = ""

    @property
    def is_running(self) -> bool:
        return self.process is not None


class Supervisor:
    """Runs parts in the order of their needs; a crashed part is reported, and restarted after a pause.

    One thread starts and watches every process, since a process is tied to the life of the thread that
    started it. `start` may be called again with more parts. Leaving the context stops everything.
    """

    def __init__(
        self,
        home: Home,
        *,
        console: Console | None = None,
        on_crash: Callable[[Crash], None] | None = None,
    ) -> None:
        self._home = home
        self._console = console or Console()
        self._on_crash = on_crash or self._tell_crash
        self._records = Records(home.run / "parts.json", home.root)
        self._children: dict[str, _Child] = {}
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        # Not Thread.join: Python 3.11 takes a thread for ended when a signal's exception interrupts its join.
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, parts: Sequence[Part]) -> None:
        """Start parts and return when all are ready.

        Raises:
            PartFailedError: one did not become ready in its time, or ended three times before it was.
        """
        if self._thread is None:
            ended = self._records.end_leftovers()
            if ended:
                self._console.say(f"  stopped what an earlier run had left behind: {', '.join(ended)}")
            self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
            self._thread.start()
        children = [_Child(part, self._fresh_log(part.name)) for part in parts]
        with self._lock:
            self._children |= {child.part.name: child for child in children}
        self._await_ready(children)

    def pid(self, name: str) -> int:
        """The process id of a part that runs.

        Raises:
            LookupError: it does not run at this moment.
        """
        with self._lock:
            child = self._children[name]
            if child.process is None:
                raise LookupError(f"{name} does not run")
            return child.process.pid

    def state(self, name: str) -> State:
        """Where a part is on its way."""
        return self._children[name].state

    def wait(self) -> NoReturn:
        """Stay until a signal's exception takes us out of here.

        Raises:
            PartFailedError: the watching thread itself failed, and its parts were told to stop by that.
        """
        self._over.wait()
        raise PartFailedError(
            "The supervisor itself failed (see above) and its parts stop. Run ./dev up again."
        )

    def hurry(self) -> None:
        """Stop waiting for parts to end in their own time."""
        self._hurry.set()

    def stop(self) -> None:
        """Stop every part, those that need others first; returns when all have ended."""
        self._stopping.set()
        if self._thread is None:
            return
        while not self._over.wait(timeout=0.2):
            running = [child.part.title for child in self._children.values() if child.is_running]
            if running:
                self._console.progress(f"stopping: {', '.join(running)}")
        self._console.clear()

    def _await_ready(self, children: list[_Child]) -> None:
        waiting = list(children)
        began = time.monotonic()
        while waiting:
            for child in list(waiting):
                if child.state is State.FAILED:
                    raise PartFailedError(child.failure)
                if child.state is State.READY:
                    waiting.remove(child)
                    seconds = time.monotonic() - child.started_at
                    self._console.say(f"  {child.part.title:<26} ready in {seconds:.1f} s")
            if self._over.is_set():
                raise PartFailedError("The parts were stopped while they started.")
            if waiting:
                names = ", ".join(child.part.title for child in waiting)
                self._console.progress(f"starting: {names} ... {time.monotonic() - began:.0f} s")
                time.sleep(TICK_S)

    # --- the watching thread

    def _watch(self) -> None:
        try:
            while not self._turn():
                time.sleep(TICK_S)
        finally:
            self._over.set()

    def _turn(self) -> bool:
        """One look at every part; true when all have been stopped."""
        with self._lock:
            for child in self._children.values():
                self._step(child)
            return self._stopping.is_set() and not any(child.is_running for child in self._children.values())

    def _step(self, child: _Child) -> None:
        if child.process is not None and self._has_ended(child.process):
            self._reap(child)
            return
        if self._stopping.is_set():
            self._step_down(child)
        elif child.state is State.WAITING:
            if all(
                self._children[need].state is State.READY
                for need in child.part.needs
                if need in self._children
            ):
                self._spawn(child)
        elif child.state is State.BACKING_OFF:
            if time.monotonic() >= child.next_start_at:
                self._spawn(child)
        elif child.state is State.STARTING:
            self._look(child)

    def _look(self, child: _Child) -> None:
        if child.part.ready():
            child.state = State.READY
            if child.was_ready:
                self._console.say(f"{child.part.title} runs again.")
            child.was_ready = True
        elif not child.was_ready and time.monotonic() - child.started_at > child.part.ready_within_s:
            self._fail(child, f"was not ready after {child.part.ready_within_s:.0f} s")

    def _spawn(self, child: _Child) -> None:
        part = child.part
        account = part.account
        child.started_at = time.monotonic()
        try:
            if part.prepare is not None:
                part.prepare()
            with child.log.open("ab") as log:
                log.write(f"{START_MARK}{time.strftime('%Y-%m-%d %H:%M:%S')} ---\n".encode())
                log.flush()
                child.process = subprocess.Popen(
                    [
                        *(sys.executable, "-I", "-S", str(LAUNCHER)),
                        *(str(os.getpid()), str(int(part.stop_signal))),
                        *((str(account.uid), str(account.gid)) if account else ("-", "-")),
                        *part.command,
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**part.environment, HOME_MARK: str(self._home.root)},
                    cwd=part.directory,
                    start_new_session=True,
                )
        except LocalCloudError as error:
            self._fail(child, f"cannot start: {error}", tail=False)
            return
        except (OSError, subprocess.SubprocessError) as error:
            self._fail(child, f"cannot start: {error}")
            return
        self._records.add(part.name, child.process.pid)
        child.state = State.STARTING

    @staticmethod
    def _has_ended(process: subprocess.Popen[bytes]) -> bool:
        # WNOWAIT leaves the zombie, which keeps its number (and its group's) from being given away.
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _reap(self, child: _Child) -> None:
        if child.process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.process.pid, signal.SIGKILL)
        code = child.process.wait()
        child.process = None
        self._records.remove(child.part.name)
        if self._stopping.is_set() or child.state is State.FAILED:
            child.state = State.STOPPED if child.state is not State.FAILED else State.FAILED
            return
        if time.monotonic() - child.started_at >= STEADY_AFTER_S:
            child.crashes = 0
        pause = BACKOFF_S[min(child.crashes, len(BACKOFF_S) - 1)]
        child.crashes += 1
        if not child.was_ready and child.crashes >= FAILED_STARTS_ALLOWED:
            self._fail(child, f"ended {child.crashes} times before it was ready ({_how(code)})")
            return
        child.state = State.BACKING_OFF
        child.next_start_at = time.monotonic() + pause
        self._on_crash(Crash(child.part, _how(code), log_tail(child.log), pause, child.was_ready))

    def _fail(self, child: _Child, why: str, *, tail: bool = True) -> None:
        last = log_tail(child.log) if tail else ""
        child.failure = f"{child.part.title} {why}."
        if last:
            child.failure += f" The end of {child.log}:\n{last}"
        child.state = State.FAILED
        if child.process is not None:
            self._signal(child.process, signal.SIGKILL)

    def _step_down(self, child: _Child) -> None:
        if child.process is None:
            child.state = State.STOPPED
            return
        depends = (other for other in self._children.values() if child.part.name in other.part.needs)
        if any(other.is_running for other in depends) and not self._hurry.is_set():
            return
        if child.stop_sent_at is None:
            child.stop_sent_at = time.monotonic()
            self._signal(child.process, child.part.stop_signal)
        elif self._hurry.is_set() or time.monotonic() - child.stop_sent_at > STOP_GRACE_S:
            self._signal(child.process, signal.SIGKILL)

    @staticmethod
    def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        # Only the leader is asked; what is left of its group is ended when the leader is reaped.
        process.send_signal(number)

    def _fresh_log(self, name: str) -> Path:
        path = self._home.logs / f"{name}.log"
        if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return path

    def _tell_crash(self, crash: Crash) -> None:
        if not crash.was_ready:
            self._console.say(
                f"  {crash.part.title} ended while it started ({crash.how}); trying again in {crash.restart_in_s:.0f} s"
            )
            return
        self._console.say(
            f"\n{crash.part.title} stopped by itself ({crash.how}). Its last lines:\n{crash.log_tail}\n"
            f"It is started again in {crash.restart_in_s:.0f} s; the whole log is "
            f"{self._home.logs / (crash.part.name + '.log')}\n"
        )


def log_tail(path: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log since its part was last started, indented for a message."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 64 * 1024))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    since_start = text.rpartition(START_MARK)[2].splitlines()[1:] if START_MARK in text else text.splitlines()
    return "\n".join(f"    {line}" for line in since_start[-lines:]) or "    (it wrote nothing)"


def _how(code: int) -> str:
    if code < 0:
        return f"by signal {signal.Signals(-code).name}"
    return f"exit status {code}"
