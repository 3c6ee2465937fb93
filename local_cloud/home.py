"""Where the local cloud keeps its state, and who has to be able to reach it."""

import fcntl
import hashlib
import json
import os
import pwd
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_cloud.errors import LocalCloudError

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED_STATE = Path("/var/lib/envforge")
WORLD_SEARCHABLE = stat.S_IXOTH
PASSAGE_MODE = 0o711
ORDINARY_UMASK = 0o022
CALLED_FROM = "ENVFORGE_CALLED_FROM"


@dataclass(frozen=True)
class Account:
    """The account a server runs as in place of root."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Home:
    """One directory with all state of one local cloud."""

    root: Path

    def make(self) -> None:
        """Make the home if it is missing: others may pass through it, as PostgreSQL's account must, not look in."""
        self.root.parent.mkdir(parents=True, exist_ok=True)
        self.root.mkdir(mode=PASSAGE_MODE, exist_ok=True)

    def nested(self, name: str) -> "Home":
        """A home of its own within this one, such as that of the tests."""
        self.make()
        home = Home(self.root / name)
        home.make()
        return home

    def directory(self, name: str) -> Path:
        """A directory of this home that only its owner may enter, made if it is missing."""
        self.make()
        path = self.root / name
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    @property
    def logs(self) -> Path:
        return self.directory("logs")

    @property
    def run(self) -> Path:
        return self.directory("run")

    @property
    def venv(self) -> Path:
        return self.root / "venv"


def server_account() -> Account | None:
    """Who servers that refuse root run as: nobody when we are root, else None for ourselves."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def closed_parent(path: Path) -> Path | None:
    """The first directory on the way to `path` that other accounts may not pass through."""
    for directory in (*reversed(path.parents), path):
        if directory.exists() and not directory.stat().st_mode & WORLD_SEARCHABLE:
            return directory
    return None


def choose_home(repository: Path, environ: Mapping[str, str], euid: int) -> tuple[Home, str | None]:
    """The home for this clone, and a sentence to show when it is not the expected place.

    Raises:
        LocalCloudError: ENVFORGE_HOME is set to a place that PostgreSQL cannot reach when it is started by root.
    """
    wanted = environ.get("ENVFORGE_HOME")
    path = Path(wanted).expanduser().absolute() if wanted else repository / ".local"
    closed = closed_parent(path) if euid == 0 else None
    if closed is None:
        return Home(path), None
    if wanted:
        raise LocalCloudError(
            f"ENVFORGE_HOME is {path}, but PostgreSQL does not run as root, and the account it runs as (nobody) "
            f"may not pass through {closed}.\n"
            f"Choose another ENVFORGE_HOME (such as {SHARED_STATE}/mine), or run: chmod o+x {closed}"
        )
    mark = hashlib.sha256(str(repository).encode()).hexdigest()[:8]
    home = SHARED_STATE / mark
    return Home(home), (
        f"State is kept in {home}: PostgreSQL does not run as root, and {closed} is closed to its account."
    )


def write_private(path: Path, document: Mapping[str, Any] | list[Any]) -> None:
    """Replace a JSON file in one step, readable by its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(document, file, indent=2, sort_keys=True)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read_document(path: Path) -> dict[str, Any]:
    """A JSON object kept by `write_private`; empty if there is none yet.

    Raises:
        LocalCloudError: the file is not a JSON object.
    """
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise LocalCloudError(
            f"{path} is damaged ({error}). Put it right, or start anew with: ./dev reset"
        ) from None
    if not isinstance(document, dict):
        raise LocalCloudError(
            f"{path} is damaged (not an object). Put it right, or start anew with: ./dev reset"
        )
    return document


class HomeLock:
    """Held by the one command that may run servers in a home; released by the kernel when it dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def acquire(self) -> bool:
        """Take the lock if nobody holds it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        os.ftruncate(fd, 0)
        self._fd = fd
        return True

    def note(self, text: str) -> None:
        """Leave a line for whoever finds the lock taken."""
        if self._fd is None:
            raise RuntimeError("the lock is not held")
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, text.encode(), 0)

    def holder_note(self) -> str:
        """The line its holder left."""
        return self._path.read_text() if self._path.exists() else ""

    def release(self) -> None:
        """Give the lock back."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
