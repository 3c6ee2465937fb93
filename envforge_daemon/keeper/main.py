"""The keeper's process; see the package. Standard library only, since its start is part of every wake.

Reads its specification from standard input:

    directory     the run's directory
    groups        files by which it enters the control group that it shall itself be in
    enter         what `isolation.enter` is told, to start the program
    end           how all of its group is ended: the path of a `cgroup.kill`, or null
    masks         values to mask, in base64
    log           null, or {path, uid, gid}: masked output goes there
    limit         null, or how many bytes of masked output are kept in the run's directory
    restart       null, or {most, calm_s}: start it again, give up after `most` crashes with less than `calm_s` between them
    timeout_s     null, or after how long it is ended
    stop_signal   what asks the program to end
    grace_s       between that and SIGKILL
    checks        null, or {enter, health, smoke}
    notify        a datagram socket that hears of each change of the state

SIGTERM ends the program and then the keeper; SIGUSR1 ends both at once.
"""

import base64
import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

sys.path.insert(0, str(Path(__file__).parents[2]))

from envforge_daemon.keeper import files
from envforge_daemon.keeper.child import FAILED, Child, started_at
from envforge_daemon.keeper.output import Capture, Log
from envforge_protocol.masking import Masker

AHEAD = "ahead"
CHUNK = 65536
LAST_CHUNKS = 64
FIRST_DELAY_S, LONGEST_DELAY_S = 0.5, 30.0
EMPTY_WITHIN_S = 10.0


class Keeper:
    """One run, from its first start to its last end."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.directory = Path(spec["directory"])
        self.lock = files.hold(self.directory)
        self.began = time.monotonic()
        self.masker = Masker(base64.b64decode(value) for value in spec["masks"])
        log = spec["log"]
        self.log = Log(Path(log["path"]), uid=log["uid"], gid=log["gid"]) if log else None
        self.capture = (
            Capture(self.directory / files.OUTPUT, spec["limit"]) if spec["limit"] is not None else None
        )
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.child: Child | None = None
        self.checker: Child | None = None
        self.checked = b""
        self.stopping = False
        self.kill_at: float | None = None
        self.start_at: float | None = time.monotonic()
        self.crashes = 0
        self.state: dict[str, Any] = {
            "keeper": [os.getpid(), started_at(os.getpid())],
            "phase": "starting",
            "process": None,
            "began_at": None,
            "ended_at": None,
            "restarts": 0,
            "exit_status": None,
            "gave_up": False,
            "timed_out": False,
            "health": "starting",
            "reason": "",
            "changed_at": time.time(),
            "healthy_ms": None,
            "smoke": None,
            "output_bytes": 0,
            "truncated": False,
        }

    def tell(self, **changes: Any) -> None:
        """Change the state, for the daemon that is there now or a later one."""
        if "health" in changes and changes["health"] != self.state["health"]:
            changes["changed_at"] = time.time()
        self.state |= changes
        if self.capture:
            self.state |= {"output_bytes": self.capture.total, "truncated": self.capture.truncated}
        files.write(self.directory / files.STATE, self.state)
        with contextlib.suppress(OSError):
            self.notify.sendto(self.directory.name.encode(), self.spec["notify"])

    # Starting

    def start(self) -> None:
        self.start_at = None
        self.began = time.monotonic()
        try:
            self.child = Child(self.spec["enter"])
        except OSError as error:
            self.say(f"envforge: it could not be started: {error.strerror}\n".encode())
            self.ended(FAILED)
            return
        if self.spec["timeout_s"]:
            self.kill_at = self.began + self.spec["timeout_s"]
        self.tell(
            phase="running",
            process=[self.child.pid, self.child.started],
            began_at=self.state["began_at"] or time.time(),
            health="starting",
            reason="",
        )
        checks = self.spec["checks"]
        if checks:
            asked = {
                "health": checks["health"],
                "smoke": checks["smoke"],
                "environment": checks["enter"]["environment"],
            }
            try:
                self.checker = Child(checks["enter"], given=json.dumps(asked).encode())
            except OSError as error:
                self.tell(reason=f"its health cannot be asked for: {error.strerror}")

    # What happens

    def output_arrived(self, child: Child) -> bool:
        """Read what is there; a program that prints a gigabyte is read as fast as it can be masked and no faster."""
        chunk = child.read()
        if chunk:
            self.say(self.masker.feed(chunk))
        return bool(chunk)

    def say(self, masked: bytes) -> None:
        if self.log and masked:
            self.log.write(masked)
        if self.capture and masked:
            before = self.capture.total
            self.capture.write(masked)
            if before == 0 or before // CHUNK != self.capture.total // CHUNK:
                self.tell()

    def check_arrived(self, checker: Child) -> None:
        *lines, self.checked = (self.checked + (checker.read() or b"")).split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError):
                self.answered(json.loads(line))

    def answered(self, news: dict[str, Any]) -> None:
        if "smoke" in news:
            self.tell(smoke=[bool(news["smoke"]), str(news["reason"])])
        elif news.get("health") == "healthy":
            ready = self.state["healthy_ms"]
            self.tell(
                health="healthy",
                reason="",
                healthy_ms=ready if ready is not None else round((time.monotonic() - self.began) * 1000),
            )
        elif self.state["health"] == "starting":
            # It has not been healthy yet: why not is worth knowing, and no reason to call it ill.
            self.tell(reason=str(news.get("reason", "")))
        else:
            self.tell(health="unhealthy", reason=str(news.get("reason", "")))

    def child_ended(self, child: Child) -> None:
        # While it is not collected its number is nobody else's.
        child.signal(signal.SIGKILL)
        status = child.status()
        # What it wrote before its end; not what others, who still hold the pipe, may write for ever.
        for _ in range(LAST_CHUNKS):
            if not self.output_arrived(child):
                break
        child.close()
        self.say(self.masker.finish())
        self.end_group()
        self.ended(status)

    def ended(self, status: int) -> None:
        lasted = time.monotonic() - self.began
        self.child = None
        self.kill_at = None
        restart = self.spec["restart"]
        if self.stopping or not restart:
            self.finish(status)
        self.crashes = 1 if lasted >= restart["calm_s"] else self.crashes + 1
        if self.crashes >= restart["most"]:
            self.tell(gave_up=True)
            self.finish(status)
        delay = min(FIRST_DELAY_S * 2 ** (self.crashes - 1), LONGEST_DELAY_S)
        self.say(f"envforge: it ended with exit status {status}; again in {delay:g} s\n".encode())
        self.start_at = time.monotonic() + delay
        self.tell(
            phase="backing_off",
            process=None,
            exit_status=status,
            restarts=self.state["restarts"] + 1,
            health="crashed",
            reason=f"it ended with exit status {status}",
        )

    def finish(self, status: int) -> NoReturn:
        if self.log:
            self.log.close()
        self.tell(
            phase="ended",
            process=None,
            exit_status=status,
            ended_at=time.time(),
            health="stopped" if self.stopping else "crashed",
            reason="" if self.stopping else f"it ended with exit status {status}",
        )
        raise SystemExit(0)

    def end_group(self) -> None:
        """Whatever it left running holds its port and its memory: all of it goes."""
        if self.checker:
            self.checker.signal(signal.SIGKILL)
            self.checker.status()
            self.checker.close()
            self.checker = None
        if not self.spec["end"]:
            return
        group = Path(self.spec["end"]).parent
        with contextlib.suppress(OSError):
            Path(self.spec["end"]).write_text("1")
            until = time.monotonic() + EMPTY_WITHIN_S
            while "populated 1" in (group / "cgroup.events").read_text() and time.monotonic() < until:
                time.sleep(0.005)

    def stop(self, *, at_once: bool) -> None:
        self.stopping = True
        if self.child is None:
            self.finish(self.state["exit_status"] or 0)
        if at_once:
            self.end_all()
        else:
            self.child.signal(self.spec["stop_signal"])
            self.kill_at = time.monotonic() + self.spec["grace_s"]

    def end_all(self) -> None:
        self.kill_at = None
        if self.child:
            self.child.signal(signal.SIGKILL)
        if self.spec["end"]:
            with contextlib.suppress(OSError):
                Path(self.spec["end"]).write_text("1")

    def timer(self) -> None:
        now = time.monotonic()
        if self.start_at is not None and now >= self.start_at:
            self.start()
        if self.kill_at is not None and now >= self.kill_at:
            if not self.stopping and not self.state["timed_out"]:
                # Its time is over: first politely.
                self.tell(timed_out=True)
                if self.child:
                    self.child.signal(signal.SIGTERM)
                self.kill_at = now + self.spec["grace_s"]
            else:
                self.end_all()

    def run(self, wakeup: int) -> NoReturn:
        """Wait for whatever comes next; ends in `finish`."""
        self.tell()
        self.timer()
        # Its own place is not what anybody waits for.
        for entrance in self.spec["groups"]:
            Path(entrance).write_text("0")
        while True:
            self.timer()
            due = [at for at in (self.start_at, self.kill_at) if at is not None]
            timeout = max(0.0, min(due) - time.monotonic()) if due else None
            waiting = [wakeup]
            if self.child:
                waiting += [one for one in (self.child.output, self.child.ended) if one >= 0]
            if self.checker and self.checker.output >= 0:
                waiting.append(self.checker.output)
            ready = select.select(waiting, [], [], timeout)[0]
            if wakeup in ready:
                for number in os.read(wakeup, 64):
                    self.stop(at_once=number == signal.SIGUSR1)
            if self.child and self.child.output in ready:
                self.output_arrived(self.child)
            if self.checker and self.checker.output in ready:
                self.check_arrived(self.checker)
            if self.child and self.child.ended in ready:
                self.child_ended(self.child)


def main() -> NoReturn:
    told = sys.stdin.buffer.read()
    if not told:
        # It was made ahead, and whoever made it has ended.
        raise SystemExit(0)
    spec = json.loads(told)
    complaint = os.open(
        Path(spec["directory"]) / files.COMPLAINT, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600
    )
    os.dup2(complaint, 2)
    os.close(complaint)
    if os.geteuid() == 0:
        # Whoever it acts as later (`output.acting_as`) has no group of root's beside.
        os.setgroups([])
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda *_: None)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    Keeper(spec).run(wake_read)


if __name__ == "__main__":
    if AHEAD in sys.argv[1:]:
        # What the checker needs, which is forked from here; nobody waits for it now.
        import encodings.idna  # noqa: F401
        import subprocess  # noqa: F401
    main()
