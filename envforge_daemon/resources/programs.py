"""The servers this VM has for workspaces, below the configured directory; put there by `deploy/daemon/install.sh`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from envforge_daemon.errors import DaemonError, IsolationError
from envforge_daemon.isolation.programs import run


class Unavailable(DaemonError):
    """A resource cannot be had; the text says why and what to do."""


@dataclass(frozen=True)
class Program:
    """A server: its file, its version, and which other versions it serves as."""

    path: Path
    version: str
    serves_as: tuple[str, ...] = ()

    def is_version(self, asked: str) -> bool:
        """Whether it is what was asked for: `16` is 16.3, and `1` is not."""
        return any(f"{one}.".startswith(f"{asked}.") for one in (self.version, *self.serves_as))


_versions: dict[tuple[Path, int], str] = {}


def _identity(path: Path) -> tuple[Path, int]:
    """The file itself, and when it last changed."""
    path = path.resolve(strict=True)
    return path, path.stat().st_mtime_ns


async def read(path: Path, pattern: str, *argv: str) -> Program | None:
    """The program at a path, with the version it tells; None where there is none or it cannot be run."""
    try:
        key = path, _ = _identity(path)
        if key not in _versions:
            found = re.search(pattern, await run(str(path), *argv))
            if found is None:
                return None
            _versions[key] = found[1]
    except (OSError, IsolationError):
        return None
    return Program(path, _versions[key])


def choose(title: str, found: Sequence[Program], asked: str | None, *, of_data: str = "") -> Program:
    """The newest program that is what was asked for, and that can read the data that is there.

    Raises:
        Unavailable: there is none.
    """
    if not found:
        raise Unavailable(
            f"{title} is not installed on this VM. Replace the VM by one of a newer image, or provide the resource yourself."
        )
    newest_first = sorted(found, key=lambda one: [int(part) for part in one.version.split(".")], reverse=True)
    fitting = [one for one in newest_first if asked is None or one.is_version(asked)]
    if not fitting:
        have = " and ".join(one.version for one in newest_first)
        raise Unavailable(
            f"{title} {asked} is asked for, and this VM has {have}. "
            "Ask for one of these in the contract, or provide the resource yourself."
        )
    readable = [one for one in fitting if not of_data or one.is_version(of_data)]
    if not readable:
        raise Unavailable(
            f"Its data was written by {title} {of_data}, and {fitting[0].version} cannot read it. "
            f"Ask for version {of_data} in the contract, or move the data over by a dump."
        )
    return readable[0]
