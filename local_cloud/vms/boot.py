"""A VM's init: makes the VM's namespaces, starts its daemon and starts it again when it ends, reaps, powers off.

Run by path, with the name of a file that holds the specification (JSON). Standard library only: one runs for every VM.
It leaves its starter at once; the number of the init is written to the specification's `pid_file`. SIGTERM is the power
button: everything is asked to end, and what has not is killed with the init by whoever pressed it.
"""

import ctypes
import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID = 0x00020000, 0x04000000, 0x08000000, 0x20000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MNT_DETACH = 2
PR_SET_CHILD_SUBREAPER = 36
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
RESTART_AFTER_S = 1.0
LONGEST_RESTART_S = 30.0
STEADY_AFTER_S = 30.0
DAEMON_FILE = 255  # the descriptor of the file with the daemon's number, as the VM counts
NETWORK_LOCK = "run/envforge-network.lock"
_libc = ctypes.CDLL(None, use_errno=True)


def main(spec_file: str) -> None:
    """Become the init of the VM that the file describes."""
    spec: dict[str, Any] = json.loads(Path(spec_file).read_text())
    console = os.open(spec["console"], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    for descriptor in (1, 2):
        os.dup2(console, descriptor)
    os.closerange(3, 256)
    # Opened before the VM has a disk of its own.
    os.dup2(
        os.open(spec["daemon_file"], os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600),
        DAEMON_FILE,
        inheritable=False,
    )
    os.setsid()
    if spec["namespaces"]:
        _check(_libc.unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID), "unshare")
    pid = os.fork()
    if pid:
        _tell_pid(Path(spec["pid_file"]), pid)
        os._exit(0)
    try:
        if spec["namespaces"]:
            enter_disk(spec)
        else:
            os.setsid()
            _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    except OSError as error:
        say(f"boot failed: {error}")
        os._exit(1)
    Init(spec).run()


def _tell_pid(path: Path, pid: int) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(str(pid))
    partial.replace(path)


def say(text: str) -> None:
    """Write a line to the serial console."""
    print(f"[{time.strftime('%H:%M:%S', time.gmtime())}] init: {text}", flush=True)


def enter_disk(spec: dict[str, Any]) -> None:
    """Make the VM's root disk of this machine's and what the VM changed, and enter it for good.

    Without `upper` the VM keeps this machine's root, with a /run of its own.
    """
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    _check(_libc.sethostname(spec["hostname"].encode(), len(spec["hostname"].encode())), "sethostname")
    top = Path(spec["root"])
    if spec["upper"]:
        layers = f"lowerdir=/,upperdir={spec['upper']},workdir={spec['work']}"
        mount("overlay", str(top), "overlay", 0, layers)
    lock = Path("/") / NETWORK_LOCK
    lock.touch(mode=0o600)
    held = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    # By descriptor, since what is mounted first may cover what is mounted next.
    outside = {source: os.open(source, os.O_PATH | os.O_CLOEXEC) for _, _, source in spec["mounts"] if source}
    if top != Path("/"):
        for name in ("dev", "sys"):
            mount(f"/{name}", str(top / name), "", MS_BIND | MS_REC)
    mount("tmpfs", str(top / "run"), "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    # Addresses of workspaces are given out under one lock by all VMs of a machine.
    (top / NETWORK_LOCK).touch(mode=0o600)
    mount(f"/proc/self/fd/{held}", str(top / NETWORK_LOCK), "", MS_BIND)
    for kind, target, source in spec["mounts"]:
        place = top / target.lstrip("/")
        if kind == "hide":
            if place.is_dir():
                mount("tmpfs", str(place), "tmpfs", MS_NOSUID | MS_NODEV, "mode=0711,size=1m")
            continue
        place.mkdir(parents=True, exist_ok=True)
        mount(f"/proc/self/fd/{outside[source]}", str(place), "", MS_BIND)
        if kind == "read_only":
            mount("none", str(place), "", MS_BIND | MS_REMOUNT | MS_RDONLY)
    # The old /proc is needed by path until here.
    mount("proc", str(top / "proc"), "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    if top != Path("/"):
        _change_root(top)
    os.chdir("/")


def _change_root(top: Path) -> None:
    number = PIVOT_ROOT.get(platform.machine())
    os.chdir(top)
    if number is None:
        os.chroot(".")
        return
    _check(_libc.syscall(number, b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", MNT_DETACH), "umount the old root")


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """mount(2)."""
    arguments = (source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode())
    _check(_libc.mount(*arguments), f"mount {target}")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


class Init:
    """The first process of a VM."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.daemon: subprocess.Popen[bytes] | None = None
        self.start_at = self.started_at = 0.0
        self.pause_s = RESTART_AFTER_S
        self.powering_off = False

    def run(self) -> None:
        """Keep the daemon running until the power button is pressed; ends with this process."""
        signal.signal(signal.SIGTERM, self._press)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        say(f"boot {self.spec['boot_id']}")
        for line in self.spec["messages"]:
            say(line)
        while not self.powering_off:
            if self.spec["command"] and self.daemon is None and time.monotonic() >= self.start_at:
                self._start()
            self._reap()
            # A signal that comes between looking and sleeping is seen a moment later.
            time.sleep(0.2)
        say("power button")
        self._power_off()

    def _press(self, _number: int, _frame: object) -> None:
        self.powering_off = True

    def _start(self) -> None:
        command, environment = self.spec["command"], self.spec["environment"]
        self.started_at = time.monotonic()
        self.start_at = self.started_at + RESTART_AFTER_S
        try:
            self.daemon = subprocess.Popen(
                command, env=environment, cwd=self.spec["directory"], start_new_session=True
            )
        except OSError as error:
            say(f"{command[0]} cannot be started: {error.strerror}")
            return
        os.ftruncate(DAEMON_FILE, 0)
        os.pwrite(DAEMON_FILE, str(self.daemon.pid).encode(), 0)
        say(f"started envforge-daemon.service ({self.daemon.pid})")

    def _reap(self) -> None:
        """Take note of whatever has ended; the orphans of the VM are this process's children."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self.daemon is not None and pid == self.daemon.pid:
                self.daemon.returncode = os.waitstatus_to_exitcode(status)
                say(f"envforge-daemon.service ended ({self.daemon.returncode})")
                self.daemon = None
                # One that ends again and again is started ever more rarely.
                lasted = time.monotonic() - self.started_at >= STEADY_AFTER_S
                pause = RESTART_AFTER_S if lasted else self.pause_s
                self.pause_s = min(pause * 2, LONGEST_RESTART_S)
                self.start_at = time.monotonic() + pause

    def _power_off(self) -> None:
        """Ask everything to end, and go when nothing is left; who does not end is killed from outside."""
        if self.spec["namespaces"]:
            os.kill(-1, signal.SIGTERM)
        elif self.daemon is not None:
            self.daemon.send_signal(signal.SIGTERM)
        while True:
            self._reap()
            try:
                os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                break
            time.sleep(0.02)
        say("power off")
        sys.exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
