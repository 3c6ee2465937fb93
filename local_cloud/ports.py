"""Which loopback port each server gets: the same one every time, or another with a word about why."""

import contextlib
import errno
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from local_cloud.errors import LocalCloudError
from local_cloud.home import Home, read_document, write_private
from local_cloud.processes import PROC

TRIES = 50
LISTENING = "0A"


@dataclass(frozen=True)
class Choice:
    """A port that was free a moment ago, and what to tell a person if it is not the usual one."""

    port: int
    note: str | None


class Claim:
    """Keeps a port from being chosen by another local cloud before our server listens on it.

    It is an abstract socket name, which the kernel gives back when this object or its process ends (unix(7)).
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __del__(self) -> None:
        os.close(self._fd)


def claim(port: int) -> Claim | None:
    """Claim a port, or None if another local cloud has."""
    return claim_name(f"port-{port}")


def claim_name(what: str) -> Claim | None:
    """Claim anything that two local clouds on one machine must not both use, or None if another has."""
    name = f"\0envforge-{what}" if sys.platform == "linux" else ""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as taken:
        try:
            if name:
                taken.bind(name)
        except OSError:
            return None
        return Claim(taken.detach())


class Ports:
    """Remembers the port of each server of a home in ports.json; its claims last as long as it does."""

    def __init__(self, home: Home) -> None:
        self._path = home.root / "ports.json"
        self._remembered: dict[str, int] = read_document(self._path)
        self._claims: dict[int, Claim] = {}

    def choose(self, name: str, default: int) -> Choice:
        """The remembered port, else the default; else the next free one above, for this time only.

        Raises:
            LocalCloudError: fifty ports in a row are taken.
        """
        usual = self._remembered.get(name, default)
        for port in range(usual, usual + TRIES):
            if port not in self._claims and (mine := claim(port)) is not None and is_free(port):
                self._claims[port] = mine
                if name not in self._remembered:
                    self._remembered[name] = port
                    write_private(self._path, self._remembered)
                return Choice(port, None if port == usual else f"Port {usual} is in use by {holder(usual)}")
        raise LocalCloudError(
            f"Ports {usual} to {usual + TRIES - 1} are all in use. Stop what uses them "
            f"({holder(usual)} has {usual}), or write another number for {name} into {self._path}."
        )


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of localhost, in both address families.

    A browser tries ::1 first: another program there would get what is meant for us on 127.0.0.1.
    """
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
                probe.listen()
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
    return True


def holder(port: int) -> str:
    """Who listens on a port, in words; "another program" where the kernel does not tell."""
    inodes = _listening_inodes(port)
    for entry in PROC.glob("[0-9]*"):
        if inodes & _open_files(entry):
            with contextlib.suppress(OSError):  # gone meanwhile
                name = (entry / "comm").read_text().strip()
                return f"another program ({name}, process {entry.name})"
    return "another program"


def _open_files(process: Path) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):  # gone, or another account's
        for descriptor in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(str(descriptor.readlink()))
    return found


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        try:
            rows = table.read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            columns = row.split()
            if columns[3] == LISTENING and int(columns[1].rsplit(":", 1)[1], 16) == port:
                found.add(f"socket:[{columns[9]}]")
    return found
