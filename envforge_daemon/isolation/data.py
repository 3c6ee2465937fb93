"""Where a workspace's managed resources keep their data: a directory for each, its account's own, and what root alone knows.

PLACE/resources/NAME      the resource's account alone can enter it (THREATS H3)
PLACE/known/NAME.json     its credentials and its type; root's alone, in a directory that nobody else can enter
"""

import contextlib
import json
import os
import stat
from pathlib import Path
from typing import Any

from envforge_daemon.errors import IsolationError
from envforge_daemon.isolation.accounts import Account
from envforge_daemon.isolation.directories import make_directory, read_below
from envforge_daemon.state import Documents

LONGEST_KNOWN = 65_536


class DataPlace:
    """One workspace's, on the disk that `volumes.mount` gave."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def directory(self, name: str) -> Path:
        """Where a resource's data is."""
        return self.path / "resources" / name

    def make(self, name: str, account: Account) -> Path:
        """Make a resource's directory, or find it.

        Raises:
            IsolationError: it belongs to another account, or the place is none of ours.
        """
        directory = self.directory(name)
        make_directory(directory, account, mode=0o700, root=self.path)
        return directory

    def names(self) -> list[str]:
        """The resources that have data here."""
        with contextlib.suppress(FileNotFoundError):
            return sorted(entry.name for entry in (self.path / "resources").iterdir())
        return []

    def known(self, name: str) -> dict[str, Any] | None:
        """What was remembered of a resource; None if nothing was."""
        try:
            found = json.loads(read_below(self.path, f"known/{name}.json", limit=LONGEST_KNOWN) or b"")
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    async def remember(self, name: str, document: dict[str, Any]) -> None:
        """Keep it with the data, so that it outlives this VM as the data does; on disk when this returns. One at a time."""
        self._require_own("known")
        await Documents(self.path / "known").write(name, document)

    def forget(self, name: str) -> None:
        """Take away what is left of a resource whose directory was emptied."""
        self._require_own("known")
        self._require_own("resources")
        with contextlib.suppress(FileNotFoundError):
            self.directory(name).rmdir()
        (self.path / "known" / f"{name}.json").unlink(missing_ok=True)

    def _require_own(self, part: str) -> None:
        """Whoever was root on the disk's last VM (THREATS H5) may have left a link where our directory was.

        Raises:
            IsolationError: it is none of ours.
        """
        for directory in (self.path, self.path / part):
            with contextlib.suppress(FileNotFoundError):
                found = directory.lstat()
                if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
                    raise IsolationError(
                        "The workspace's data are not as this VM left them; nothing is done with them. Ask support."
                    )
