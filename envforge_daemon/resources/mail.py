"""The mail sink: the daemon's own program, on aiosmtpd."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from envforge_daemon.config import Config
from envforge_daemon.resources.kinds import HOST, Kind, Place, Server, Values
from envforge_daemon.resources.programs import Program, choose
from envforge_daemon.services.keepers import Reply

PROGRAM = Path(__file__).with_name("sink.py")
NAME = "app"
CONSOLE = 1


class Mail(Kind):
    """Its page is on the port after its own."""

    title = "The mail sink"

    async def program(self, config: Config, asked: str | None, directory: Path) -> Program:
        try:
            found = [Program(PROGRAM, version("aiosmtpd"))]
        except PackageNotFoundError:
            found = []
        return choose(self.title, found, asked)

    def properties(self, secret: Values, port: int) -> Values:
        password = secret["password"]
        return {
            "url": f"smtp://{NAME}:{password}@{HOST}:{port}",
            "host": HOST,
            "port": str(port),
            "user": NAME,
            "password": password,
        }

    def private_ports(self, port: int) -> dict[int, bool]:
        return {port + CONSOLE: True}

    def server(self, place: Place, program: Program, secret: Values) -> Server:
        return Server(
            # No arguments of a process: `main` is called with them.
            command=(str(place.port), str(place.port + CONSOLE), NAME, secret["password"]),
            own_program=str(program.path),
            check=Reply(port=place.port, send=b"", expect="220 "),
            grace_s=5.0,
        )
