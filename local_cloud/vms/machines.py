"""One VM: its directory, its record, and the processes it consists of.

The record is written before a VM's processes are, so that whoever finds the directory knows what to end.
"""

import contextlib
import enum
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local_cloud.home import read_document, write_private
from local_cloud.processes import boot_id, inspect
from local_cloud.vms import lost, traces

RECORD = "vm.json"
INTENT = "intent.json"
SPEC = "spec.json"
CONSOLE = "console.log"
BOOT = Path(__file__).with_name("boot.py")
START_WITHIN_S = 20.0
CONSOLE_LIMIT_BYTES = 1 << 20
CONSOLE_KEPT_BYTES = 64 << 10


class Kind(enum.StrEnum):
    """What a VM on this machine can be."""

    DISK = "disk"  # namespaces, and a root disk of its own
    NAMESPACES = "namespaces"  # namespaces on this machine's root disk
    TREE = "tree"  # ordinary processes


@dataclass(frozen=True)
class Record:
    """What is known about a VM that was started, whether it still runs or not. `pid` 0: it is off."""

    instance_id: str
    address: str
    kind: Kind
    boot: str
    since: str
    boots: int = 0
    machine_boot: str = ""
    pid: int = 0
    started_ticks: int = 0
    tag: str = ""
    token_key: str = field(default="", repr=False)

    @property
    def cgroup(self) -> str:
        return f"envforge-vm-{self.instance_id}"


@dataclass(frozen=True)
class Intent:
    """What somebody does to a VM behind EC2's back (`tampering`)."""

    crashed: bool = False
    frozen: bool = False


@dataclass(frozen=True)
class Boot:
    """What a start of a VM needs beyond its directory. `mounts` as boot.py reads them; `messages` go to the console."""

    address: str
    kind: Kind
    command: tuple[str, ...]
    environment: dict[str, str]
    mounts: tuple[tuple[str, str, str], ...]
    messages: tuple[str, ...]
    boots: int
    tag: str


class Machine:
    """The VM of one instance, by its directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.instance_id = directory.name
        self.record = _read_record(directory)
        self._below: tuple[Any, ...] = ()

    @property
    def disk(self) -> Path:
        """What the VM's root disk has beyond this machine's, or all it has where it shares this machine's."""
        return self.directory / "disk"

    @property
    def console(self) -> Path:
        return self.directory / CONSOLE

    @property
    def intent(self) -> Intent:
        return Intent(**read_document(self.directory / INTENT))

    def set_intent(self, **changes: bool) -> None:
        """Change what is done to it behind EC2's back."""
        write_private(self.directory / INTENT, asdict(replace(self.intent, **changes)))

    def clear_intent(self) -> None:
        """A fresh start."""
        (self.directory / INTENT).unlink(missing_ok=True)

    @property
    def is_on(self) -> bool:
        """Whether its init runs, and on the same boot of this machine that started it."""
        record = self.record
        return (
            record is not None
            and record.pid > 0
            and record.machine_boot == boot_id()
            and traces.alive(record.pid, record.started_ticks)
        )

    @property
    def daemon_pid(self) -> int | None:
        """The daemon's process, as this machine counts."""
        if self.record is None or not self.is_on:
            return None
        try:
            inside = int((self.directory / "daemon.pid").read_text())
        except (OSError, ValueError):
            return None
        if self.record.kind is not Kind.TREE:
            return traces.number_outside(self.record.pid, inside)
        found = inspect(inside)
        return inside if found is not None and found.parent == self.record.pid else None

    def watch(self) -> None:
        """Look at what runs now: in a tree, what is below the init must be known when the init is gone."""
        if self.record is not None and self.record.kind is Kind.TREE and self.is_on:
            self._below = tuple(traces.descendants(self.record.pid))

    def start(self, boot: Boot) -> None:
        """Boot: a new boot id, an init, and the command that it keeps running.

        Raises OSError: the init could not be started; the console says more.
        """
        self.directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        self.disk.mkdir(mode=0o755, exist_ok=True)
        shown = {
            name: self.directory / name for name in ("root", "work", "init.pid", "daemon.pid", "spec.json")
        }
        for name in ("init.pid", "daemon.pid"):
            shown[name].unlink(missing_ok=True)
        for name in ("root", "work"):
            shown[name].mkdir(mode=0o755, exist_ok=True)
        kept = self.record.token_key if self.record else ""
        self.record = Record(
            instance_id=self.instance_id,
            address=boot.address,
            kind=boot.kind,
            boot=str(uuid.uuid4()),
            since=datetime.now(UTC).isoformat(timespec="seconds"),
            boots=boot.boots,
            machine_boot=boot_id(),
            tag=boot.tag,
            token_key=kept or secrets.token_hex(32),
        )
        self._keep()
        # Until its init runs, it ends with whoever boots it.
        self._note_end(os.getpid())
        own_disk = boot.kind is Kind.DISK
        spec = {
            "namespaces": boot.kind is not Kind.TREE,
            "root": str(shown["root"]) if own_disk else "/",
            "upper": str(self.disk) if own_disk else "",
            "work": str(shown["work"]),
            "hostname": f"ip-{boot.address.replace('.', '-')}",
            "mounts": boot.mounts,
            "console": str(self.console),
            "pid_file": str(shown["init.pid"]),
            "daemon_file": str(shown["daemon.pid"]),
            "boot_id": self.record.boot,
            "messages": boot.messages,
            "command": boot.command,
            "environment": boot.environment,
            "directory": "/",
        }
        write_private(shown[SPEC], spec)
        started = subprocess.run(
            [sys.executable, "-I", "-S", str(BOOT), str(shown[SPEC])],
            check=False,
            env={"PATH": os.environ.get("PATH", os.defpath)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=START_WITHIN_S,
        )
        pid = int(shown["init.pid"].read_text()) if shown["init.pid"].exists() else 0
        found = inspect(pid) if pid else None
        if started.returncode != 0 or found is None:
            raise OSError(f"the VM of {self.instance_id} did not boot; see {self.console}")
        self.record = replace(self.record, pid=pid, started_ticks=found.started_ticks)
        self._keep()
        self._note_end(pid)

    def stop(self, grace_s: float) -> None:
        """Press the power button, wait so long, then cut the power: nothing of the VM runs afterwards."""
        record = self.record
        if record is None:
            return
        if record.pid and record.machine_boot == boot_id():
            if grace_s > 0 and self.is_on:
                self._press_power_button(record, grace_s)
            self.watch()
            if record.kind is Kind.TREE:
                traces.kill_tree(record.pid, record.started_ticks, self._below)
            elif self.is_on and (init := inspect(record.pid)) is not None:
                traces.send(init, signal.SIGKILL)
            traces.wait_gone(record.pid, record.started_ticks)
        self._end_unrecorded(record)
        self._sweep(record)
        self.record = replace(record, pid=0, started_ticks=0)
        self._keep()

    def remove(self) -> None:
        """End it and everything of it, the disk too."""
        self.stop(0.0)
        shutil.rmtree(self.directory, ignore_errors=True)

    def trim_console(self) -> None:
        """Keep the console's end once it has grown long."""
        if self.console.exists() and self.console.stat().st_size > CONSOLE_LIMIT_BYTES:
            end = self.console.read_bytes()[-CONSOLE_KEPT_BYTES:]
            # Its writers append, so they go on where it ends now.
            with self.console.open("r+b") as file:
                file.truncate()
                file.write(end)

    def console_end(self) -> bytes:
        """The last of what the VM wrote to its console."""
        return self.console.read_bytes()[-CONSOLE_KEPT_BYTES:] if self.console.exists() else b""

    def say(self, text: str) -> None:
        """Write a line to the console, from outside."""
        self.directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        with self.console.open("a") as file:
            file.write(f"[{time.strftime('%H:%M:%S', time.gmtime())}] {text}\n")

    def _press_power_button(self, record: Record, grace_s: float) -> None:
        deadline = time.monotonic() + grace_s
        below = traces.descendants(record.pid) if record.kind is Kind.TREE else []
        init = inspect(record.pid)
        for process in (*below, *((init,) if init else ())):
            traces.send(process, signal.SIGTERM)
        while self.is_on and time.monotonic() < deadline:
            time.sleep(0.02)

    def _end_unrecorded(self, record: Record) -> None:
        """End inits that somebody started and died before the record said so."""
        for init in traces.inits(self.directory / SPEC):
            if record.kind is Kind.TREE:
                traces.kill_tree(init.pid, init.started_ticks)
            traces.send(init, signal.SIGKILL)
            traces.wait_gone(init.pid, init.started_ticks)

    def _sweep(self, record: Record) -> None:
        if record.kind is Kind.TREE:
            return
        traces.remove_control_groups(record.cgroup)
        # A replacement is the same host, and has the same firewall table.
        others = (one for one in machines(self.directory.parent) if one.instance_id != self.instance_id)
        if not any(one.record is not None and one.record.tag == record.tag and one.is_on for one in others):
            traces.remove_network(record.tag)
        lost.forget(self.instance_id)

    def _note_end(self, pid: int) -> None:
        """Say for other local clouds what this VM leaves behind once that process has ended, and nobody sweeps."""
        record, process = self.record, inspect(pid)
        if record is not None and process is not None and record.kind is not Kind.TREE:
            lost.note(
                self.instance_id,
                pid=pid,
                started_ticks=process.started_ticks,
                tag=record.tag,
                cgroup=record.cgroup,
            )

    def _keep(self) -> None:
        if self.record is not None:
            write_private(self.directory / RECORD, asdict(self.record))


def _read_record(directory: Path) -> Record | None:
    document = read_document(directory / RECORD)
    if not document:
        return None
    known = {name: document[name] for name in Record.__dataclass_fields__ if name in document}
    return Record(**known | {"kind": Kind(known["kind"])})


def machines(state: Path) -> list[Machine]:
    """The VMs that have a directory, by instance id."""
    if not state.is_dir():
        return []
    found = []
    for directory in sorted(state.iterdir()):
        if directory.is_dir() and directory.name.startswith("i-"):
            with contextlib.suppress(json.JSONDecodeError):
                found.append(Machine(directory))
    return found


def remove_all(state: Path) -> list[str]:
    """End and remove every VM of a local cloud, running or not; which those were."""
    found = machines(state)
    for machine in found:
        machine.remove()
    return [machine.instance_id for machine in found]
