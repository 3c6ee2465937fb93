"""Where a run's masked output goes: a log that turns over, or one file up to a limit.

A write that fails (a full disk, a file the workspace took away) loses output, never the run.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextlib.contextmanager
def acting_as(uid: int | None, gid: int | None) -> Iterator[None]:
    """Touch files as the account they belong to (THREATS H2); None where the program is an ordinary user's."""
    if uid is None or gid is None:
        yield
        return
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


class Log:
    """A file of at most `most_bytes`, and `older` earlier ones beside it, named NAME.1 and so on."""

    def __init__(
        self, path: Path, *, uid: int | None, gid: int | None, most_bytes: int = 8 << 20, older: int = 3
    ) -> None:
        self._path = path
        self._owner = (uid, gid)
        self._most = most_bytes
        self._older = older
        self._descriptor = -1
        self._size = 0
        self.lost = 0

    def write(self, data: bytes) -> None:
        try:
            with acting_as(*self._owner):
                if self._descriptor < 0:
                    self._open()
                elif self._size + len(data) > self._most:
                    self._turn_over()
                self._size += _write_whole(self._descriptor, data)
        except OSError:
            self.lost += len(data)
            self.close()

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        with contextlib.suppress(FileExistsError):
            self._path.parent.mkdir(mode=0o2770)
        directory = os.open(self._path.parent, DIRECTORY)
        try:
            descriptor = os.open(self._path.name, APPEND, 0o660, dir_fd=directory)
        finally:
            os.close(directory)
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            raise OSError("not a regular file")
        self._descriptor, self._size = descriptor, found.st_size

    def _turn_over(self) -> None:
        self.close()
        names = [
            self._path,
            *(self._path.with_name(f"{self._path.name}.{n}") for n in range(1, self._older + 1)),
        ]
        for newer, older in zip(names[-2::-1], names[:0:-1], strict=True):
            with contextlib.suppress(FileNotFoundError):
                newer.rename(older)
        self._open()


class Capture:
    """The first `limit` bytes, in a file of root's own; what comes after is counted and dropped."""

    def __init__(self, path: Path, limit: int) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._room = limit
        self.total = 0

    @property
    def truncated(self) -> bool:
        return self._room == 0 and self.total > 0

    def write(self, data: bytes) -> None:
        self.total += len(data)
        kept, self._room = data[: self._room], max(0, self._room - len(data))
        with contextlib.suppress(OSError):
            _write_whole(self._descriptor, kept)

    def close(self) -> None:
        os.close(self._descriptor)


def _write_whole(descriptor: int, data: bytes) -> int:
    written = 0
    while written < len(data):
        written += os.write(descriptor, data[written:])
    return written
