"""One start of a program behind the walls, as the keeper's own child. Standard library only."""

import contextlib
import errno
import importlib.util
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

CHUNK = 65536
FAILED = 127


def _enter() -> Callable[[dict[str, Any], int], NoReturn]:
    """`isolation.enter`, without the package around it, which needs more than the standard library."""
    path = Path(__file__).parents[1] / "isolation" / "enter.py"
    found = importlib.util.spec_from_file_location("envforge_enter", path)
    if found is None or found.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    entering: Callable[[dict[str, Any], int], NoReturn] = module.enter
    return entering


enter = _enter()


def started_at(pid: int) -> int:
    """Field 22 of /proc/PID/stat."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return -1


class Child:
    """One start of a program behind the walls: its pid, its end, and what it or its entering says."""

    def __init__(self, spec: dict[str, Any], *, given: bytes | None = None) -> None:
        """Raises OSError: it did not get through the walls, or could not be executed."""
        output_read, output_write = os.pipe()
        told_read, told_write = os.pipe()
        given_read, given_write = os.pipe() if given is not None else (os.open(os.devnull, os.O_RDONLY), -1)
        self.pid = os.fork()
        if self.pid == 0:
            _become(spec, given_read, output_write, told_write)
        for descriptor in (given_read, output_write, told_write):
            os.close(descriptor)
        if given is not None:
            with contextlib.suppress(BrokenPipeError):
                os.write(given_write, given)
            os.close(given_write)
        with os.fdopen(told_read, "rb") as told:
            complaint = told.read()
        if complaint:
            os.close(output_read)
            os.waitpid(self.pid, 0)
            number, reason = json.loads(complaint)
            raise OSError(number, reason)
        self.output = output_read
        os.set_blocking(self.output, False)
        self.ended = os.pidfd_open(self.pid)
        self.started = started_at(self.pid)

    def read(self) -> bytes:
        """What it said since; nothing where it says nothing now, or no more (then `output` is -1)."""
        if self.output < 0:
            return b""
        try:
            chunk = os.read(self.output, CHUNK)
        except BlockingIOError:
            return b""
        if not chunk:
            self.close()
        return chunk

    def close(self) -> None:
        if self.output >= 0:
            os.close(self.output)
            self.output = -1

    def status(self) -> int:
        """As a shell gives it (128 + signal); after `ended` became readable."""
        _, status = os.waitpid(self.pid, 0)
        os.close(self.ended)
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code

    def signal(self, number: int) -> None:
        # It leads a session, and so a process group, of its own.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def _become(spec: dict[str, Any], given: int, output: int, told: int) -> NoReturn:
    try:
        signal.set_wakeup_fd(-1)
        os.dup2(given, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        # An own program is not executed, so nothing closes by itself: the lock, the other ends of the pipes.
        for name in [entry.name for entry in Path("/proc/self/fd").iterdir()]:
            if int(name) not in {0, 1, 2, told}:
                with contextlib.suppress(OSError):
                    os.close(int(name))
        enter(spec, told)
    except BaseException as error:  # noqa: BLE001 - nothing of the keeper may go on in the child
        number = error.errno if isinstance(error, OSError) and error.errno else errno.EINVAL
        # The environment stands in no error of `enter`. An own program that failed later has nobody to tell.
        with contextlib.suppress(OSError):
            os.write(told, json.dumps([number, str(error)]).encode())
    finally:
        os._exit(FAILED)
