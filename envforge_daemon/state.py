"""What must survive the program's end: small documents in a directory that is root's alone, written whole or not at all."""

import asyncio
import contextlib
import json
import os
from pathlib import Path
from typing import Any

from envforge_daemon.errors import ConfigError


class Documents:
    """JSON documents by name in one directory; names are ids and words of ours."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = directory.stat()
        if found.st_uid != os.geteuid():
            raise ConfigError(f"{directory} belongs to another user; it must be the program's own.")
        directory.chmod(0o700)
        for left in directory.glob("*.new"):
            left.unlink()

    async def write(self, name: str, document: Any) -> None:
        """Keep a document; once this returns, it survives a loss of power."""
        await asyncio.to_thread(self.write_now, name, document)

    def write_now(self, name: str, document: Any) -> None:
        """The same, for moments without a loop."""
        new = self.directory / f"{name}.new"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(document, file)
            file.flush()
            os.fsync(file.fileno())
        new.rename(self.directory / f"{name}.json")
        at = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(at)
        finally:
            os.close(at)

    def read(self, name: str) -> Any:
        """A document; None if there is none, or it cannot be read any more (a disk's fault, not a reason to stand still)."""
        try:
            return json.loads((self.directory / f"{name}.json").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def names(self) -> list[str]:
        """All of them, in order."""
        return sorted(file.stem for file in self.directory.glob("*.json"))

    def remove(self, name: str) -> None:
        """Forget one."""
        with contextlib.suppress(FileNotFoundError):
            (self.directory / f"{name}.json").unlink()


class State:
    """All that is kept, below `state_dir`: the program's own directory is closed, the accounts' beside it are not."""

    def __init__(self, state_dir: Path) -> None:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o711)
        self.own = state_dir / "daemon"
        self.results = Documents(self.own / "results")
        self.reports = Documents(self.own / "reports")

    def documents(self, name: str) -> Documents:
        """A part's own documents."""
        return Documents(self.own / name)
