"""What the daemon does to a workspace's files, as the account that owns them (THREATS H2); started through `enter.py`.

    write PATH MODE     standard input into the file, whole or not at all
    make PATH MODE      a directory
    clear               delete everything in the current directory; 5 if something remains

Paths lie below the current directory, and no part of them may be a symbolic link. Standard library only.
"""

import contextlib
import os
import shutil
import sys
from pathlib import Path, PurePosixPath

REMAINS, REFUSED = 5, 6
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def parent(path: str, *, top: int | None = None, make: bool = False) -> tuple[int, str]:
    """A descriptor of the directory that holds the path's last part, and that part; no link is followed. It lies below the
    directory `top`, by default the current one.
    """
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts:
        raise PermissionError(f"{path} does not lie below the workspace's files")
    at = os.open(".", DIRECTORY, dir_fd=top)
    for part in parts[:-1]:
        try:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o2770, dir_fd=at)
            below = os.open(part, DIRECTORY, dir_fd=at)
        finally:
            os.close(at)
        at = below
    return at, parts[-1]


def write(path: str, mode: int) -> int:
    """Put standard input in place of the file in one step."""
    at, name = parent(path, make=True)
    temporary = f".{name}.{os.getpid()}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode, dir_fd=at)
    try:
        with os.fdopen(descriptor, "wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(temporary, name, src_dir_fd=at, dst_dir_fd=at)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=at)
        raise
    return 0


def make(path: str, mode: int) -> int:
    """Make a directory, or leave the one that is there."""
    at, name = parent(path, make=True)
    try:
        os.mkdir(name, mode, dir_fd=at)
    except FileExistsError:
        os.close(os.open(name, DIRECTORY, dir_fd=at))
        return 0
    os.chmod(name, mode, dir_fd=at, follow_symlinks=True)
    return 0


def clear() -> int:
    """Delete what this account may delete; `rmtree` follows no link."""
    for entry in os.scandir("."):
        with contextlib.suppress(OSError):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.name, ignore_errors=True)
            else:
                Path(entry.name).unlink()
    return REMAINS if any(os.scandir(".")) else 0


def main(operation: str, *rest: str) -> int:
    """Do one thing; what the system refuses is said in its own words."""
    try:
        if operation == "write":
            return write(rest[0], int(rest[1], 8))
        if operation == "make":
            return make(rest[0], int(rest[1], 8))
        return clear()
    except OSError as error:
        sys.stdout.write(str(error))
        return REFUSED
