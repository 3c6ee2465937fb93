"""Valkey, for resources of type `redis`: an append-only file keeps its data."""

import hashlib
from pathlib import Path

from envforge_daemon.config import Config
from envforge_daemon.resources.kinds import HOST, Kind, Place, Server, Values
from envforge_daemon.resources.programs import Program, choose, read
from envforge_daemon.services.keepers import Reply

USERS = "users.acl"
# What Valkey says it is to clients that know Redis alone (INFO's redis_version).
AS_REDIS = "7.2.4"


class Valkey(Kind):
    """Its password stands nowhere but in memory and in what root keeps: the server knows the password's digest."""

    title = "Valkey"

    async def program(self, config: Config, asked: str | None, directory: Path) -> Program:
        found = await read(config.programs / "valkey-server", r"v=(\d+(?:\.\d+)*)", "--version")
        programs = [Program(found.path, found.version, serves_as=(AS_REDIS,))] if found else []
        return choose(self.title, programs, asked)

    def properties(self, secret: Values, port: int) -> Values:
        password = secret["password"]
        return {
            "url": f"redis://:{password}@{HOST}:{port}/0",
            "host": HOST,
            "port": str(port),
            "password": password,
        }

    async def prepare(self, place: Place, program: Program, secret: Values, *, is_new: bool) -> None:
        digest = hashlib.sha256(secret["password"].encode()).hexdigest()
        await place.run(
            *("/bin/sh", "-c", f"cat > {USERS}.new && mv {USERS}.new {USERS}"),
            given=f"user default on #{digest} ~* &* +@all\n",
        )

    def server(self, place: Place, program: Program, secret: Values) -> Server:
        settings = {
            "bind": HOST,
            "port": str(place.port),
            "dir": str(place.inside),
            "aclfile": str(place.inside / USERS),
            "appendonly": "yes",
            "save": "",
            # What a rewrite of the file needs besides.
            "maxmemory": f"{place.resource.limits.memory_mib * 6 // 10}mb",
            "maxmemory-policy": "noeviction",
        }
        return Server(
            command=(
                str(program.path),
                *(word for name, value in settings.items() for word in (f"--{name}", value)),
            ),
            # While it loads its data it says LOADING.
            check=Reply(
                port=place.port, send=f"AUTH {secret['password']}\r\nPING\r\n".encode(), expect="+PONG"
            ),
        )
