"""PostgreSQL: a cluster of its own for each resource, with one database and a role that owns it."""

import re
import signal
import struct
from pathlib import Path

from envforge_daemon.config import Config
from envforge_daemon.isolation.directories import read_below
from envforge_daemon.resources.kinds import HOST, Kind, Place, Server, Values
from envforge_daemon.resources.programs import Program, choose, read
from envforge_daemon.services.keepers import Reply

NAME = "app"
# The cluster's owner: has no password, and no way in but single-user mode.
OWNER = "envforge"
LONGEST_VERSION = 32
_VERSION = re.compile(rb"([0-9]+(?:\.[0-9]+)?)\s*").fullmatch

# Nobody comes in but by password, over the namespace's loopback. Whole or not at all: the directory gets its name at
# the end, when all of it is on the disk, at one go and not file by file.
_MAKE = """set -eu
rm -rf partial
"$BIN/initdb" -D partial -U "$OWNER" --auth=reject --encoding=UTF8 --locale=C.UTF-8 --no-instructions --no-sync
printf 'host all all 127.0.0.1/32 scram-sha-256\\n' > partial/pg_hba.conf
"$BIN/postgres" --single -c exit_on_error=on -D partial postgres
sync -f partial
mv partial data
"""
_CHANGE = 'exec "$BIN/postgres" --single -c exit_on_error=on -D data postgres\n'


class Postgres(Kind):
    """Versions are those of the directories below `programs/postgres`; data is read by the major version that wrote it."""

    title = "PostgreSQL"

    async def program(self, config: Config, asked: str | None, directory: Path) -> Program:
        found = [
            program
            for path in sorted((config.programs / "postgres").glob("*/bin/postgres"))
            if (path.parent / "initdb").exists()
            and (program := await read(path, r"\(PostgreSQL\) (\d+(?:\.\d+)*)", "--version"))
        ]
        # The resource's account writes there: it may be anything, and is shown to nobody unless it is a version.
        written = read_below(directory, "data/PG_VERSION", limit=LONGEST_VERSION) or b""
        version = _VERSION(written)
        return choose(self.title, found, asked, of_data=version[1].decode() if version else "")

    def properties(self, secret: Values, port: int) -> Values:
        password = secret["password"]
        return {
            "url": f"postgresql://{NAME}:{password}@{HOST}:{port}/{NAME}",
            "host": HOST,
            "port": str(port),
            "user": NAME,
            "password": password,
            "database": NAME,
        }

    async def prepare(self, place: Place, program: Program, secret: Values, *, is_new: bool) -> None:
        environment = {"BIN": str(program.path.parent), "OWNER": OWNER}
        password = secret["password"]
        if not (place.directory / "data" / "PG_VERSION").exists():
            # May make databases for tests and roles, and is no superuser.
            statements = (
                f"CREATE ROLE {NAME} LOGIN CREATEDB CREATEROLE PASSWORD '{password}'\n"
                f"CREATE DATABASE {NAME} OWNER {NAME}\n"
            )
            await place.run("/bin/sh", "-c", _MAKE, given=statements, env=environment)
        elif is_new:
            await place.run(
                *("/bin/sh", "-c", _CHANGE),
                given=f"ALTER ROLE {NAME} PASSWORD '{password}'\n",
                env=environment,
            )

    def server(self, place: Place, program: Program, secret: Values) -> Server:
        buffers = max(16, min(128, place.resource.limits.memory_mib // 4))
        settings = {
            "listen_addresses": HOST,
            "port": str(place.port),
            "unix_socket_directories": "",
            "shared_buffers": f"{buffers}MB",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return Server(
            command=(str(program.path), "-D", str(place.inside / "data"), *options),
            # Asked who is there, a server that is ready asks for a password (R); one that starts up or recovers says an error.
            check=Reply(port=place.port, send=_startup(), expect="SCRAM-SHA-256"),
            # Fast: does not wait for clients to leave, and writes all that is open, so that no start has to recover.
            stop_signal=signal.SIGINT,
        )


def _startup() -> bytes:
    """The first message of a connection (PostgreSQL's protocol 3.0, StartupMessage)."""
    told = b"".join(word.encode() + b"\0" for word in ("user", NAME, "database", NAME, ""))
    return struct.pack("!ii", 8 + len(told), 196_608) + told
