"""Directories that root makes for an account, in places where only root can write (THREATS H2)."""

import contextlib
import os
import stat
from pathlib import Path

from envforge_daemon.config import Config
from envforge_daemon.errors import IsolationError
from envforge_daemon.isolation.accounts import Account
from envforge_protocol.host.workspaces import Workspace

OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def below_root(config: Config, workspace: Workspace) -> Path:
    """Where a workspace's files are on this VM.

    Raises:
        IsolationError: the control plane named a directory outside of the place for files.
    """
    storage = workspace.storage
    name = storage.directory if storage.kind == "directory" else str(workspace.id)
    path = config.files_root / name
    if ".." in path.parts or path == config.files_root or not path.is_relative_to(config.files_root):
        raise IsolationError("The workspace's files would lie outside of this VM's place for files.")
    return path


def make_directory(path: Path, account: Account, *, mode: int, root: Path) -> None:
    """Make a directory and give it to the account, or find it; everything above it, up to `root`, stays ours alone.

    Raises:
        IsolationError: somebody else may write above it, or it belongs to somebody else.
    """
    root.mkdir(parents=True, exist_ok=True, mode=0o711)
    at = os.open(root, OPEN)
    try:
        *above, last = path.relative_to(root).parts
        for part in above:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, 0o711, dir_fd=at)
            below = os.open(part, OPEN, dir_fd=at)
            os.close(at)
            at = below
            found = os.fstat(at)
            if found.st_uid != os.geteuid() or found.st_mode & 0o022:
                raise IsolationError(
                    f"{part} in {path} can be written by others; it must belong to root alone."
                )
        _make_own(at, last, path, account, mode)
    except OSError as error:
        raise IsolationError(f"{path} cannot be made: {error.strerror}.") from None
    finally:
        os.close(at)


def read_below(directory: Path, path: str, *, limit: int) -> bytes | None:
    """A regular file of at most `limit` bytes below a directory whose content others may write; None if there is none such.

    No link is followed, and no pipe or device planted there is waited for. The file must be its directory's owner's, so that
    a hard link shows nothing of anybody else's.
    """
    try:
        at = os.open(directory, OPEN)
    except OSError:
        return None
    try:
        *above, last = Path(path).parts
        for part in above:
            below = os.open(part, OPEN, dir_fd=at)
            os.close(at)
            at = below
        file = os.open(last, READ, dir_fd=at)
        with os.fdopen(file, "rb") as opened:
            found = os.fstat(file)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.fstat(at).st_uid:
                return None
            content = opened.read(limit + 1)
    except OSError:
        return None
    finally:
        os.close(at)
    return content if len(content) <= limit else None


def _make_own(at: int, name: str, path: Path, account: Account, mode: int) -> None:
    made = True
    try:
        os.mkdir(name, 0o700, dir_fd=at)
    except FileExistsError:
        made = False
    own = os.open(name, OPEN, dir_fd=at)
    try:
        found = os.fstat(own)
        is_root = os.geteuid() == 0
        wanted = account.uid if is_root else os.geteuid()
        # Made by us and not yet given away: also what a crash between the two leaves.
        if made or (is_root and found.st_uid == 0):
            if is_root:
                os.fchown(own, account.uid, account.gid)
            os.fchmod(own, mode)
        elif found.st_uid != wanted:
            raise IsolationError(
                f"{path} belongs to another account ({found.st_uid}); nothing is done with it."
            )
        elif stat.S_IMODE(found.st_mode) & 0o007:
            os.fchmod(own, mode)
    finally:
        os.close(own)
