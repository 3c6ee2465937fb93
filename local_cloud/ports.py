"""Which loopback port each server gets: the same one every time, or another with a word about why."""

import errno
import socket
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


class Ports:
    """Remembers the port of each server of a home in ports.json."""

    def __init__(self, home: Home) -> None:
        self._path = home.root / "ports.json"
        self._remembered: dict[str, int] = read_document(self._path)
        self._chosen: set[int] = set()

    def choose(self, name: str, default: int) -> Choice:
        """The remembered port, else the default; else the next free one above, for this time only.

        Raises:
            LocalCloudError: fifty ports in a row are taken.
        """
        usual = self._remembered.get(name, default)
        for port in range(usual, usual + TRIES):
            if port not in self._chosen and is_free(port):
                self._chosen.add(port)
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
        try:
            links = {str(descriptor.readlink()) for descriptor in (entry / "fd").iterdir()}
        except OSError:
            continue
        if links & inodes:
            name = (entry / "comm").read_text().strip()
            return f"another program ({name}, process {entry.name})"
    return "another program"


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
