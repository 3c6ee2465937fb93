"""What the kinds of resources have in common."""

import secrets
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from envforge_daemon.config import Config
from envforge_daemon.isolation import Workspace
from envforge_daemon.resources.programs import Program, Unavailable
from envforge_daemon.services.keepers import Reply
from envforge_protocol.host.resources import Resource

HOST = "127.0.0.1"
PREPARING_S = 120.0

# What a server may log or complain of is never part of what a person is told: only that it failed.
Values = dict[str, str]


@dataclass(frozen=True)
class Place:
    """Where one resource runs: its workspace, itself, its directory there."""

    workspace: Workspace
    resource: Resource
    directory: Path

    @property
    def inside(self) -> Path:
        """How its own processes name the directory."""
        return self.workspace.data_inside(self.directory)

    @property
    def port(self) -> int:
        return self.resource.port

    async def run(self, *argv: str, given: str = "", env: Values | None = None) -> bytes:
        """Run something as the resource's account, in its namespace and directory, and return what it said; standard input
        may hold credentials.

        Raises:
            Unavailable: it failed.
        """
        own = self.workspace.environment(self.resource.account)
        ran = await self.workspace.run(
            argv,
            account=self.resource.account,
            env=own | (env or {}),
            directory=str(self.inside),
            data=self.directory,
            given=given.encode(),
            timeout_s=PREPARING_S,
            limits=self.resource.limits,
            group=f"prepare-{self.resource.name}",
            umask=0o077,
        )
        if ran.exit_status:
            why = "did not end in time" if ran.timed_out else f"ended with exit status {ran.exit_status}"
            raise Unavailable(f"Its data could not be prepared: {Path(argv[0]).name} {why}.")
        return ran.output


@dataclass(frozen=True)
class Server:
    """What is to be kept running."""

    command: Sequence[str]
    check: Reply
    environment: Values = field(default_factory=dict, repr=False)
    own_program: str = ""
    stop_signal: int = signal.SIGTERM
    grace_s: float = 20.0


class Kind:
    """A kind of resource. What it makes is the same for the same secret and port."""

    title: str

    async def program(self, config: Config, asked: str | None, directory: Path) -> Program:
        """The server that suits what was asked for and what is there.

        Raises:
            Unavailable: none does.
        """
        raise NotImplementedError

    def secret(self) -> Values:
        """New credentials."""
        return {"password": secrets.token_hex(24)}

    def properties(self, secret: Values, port: int) -> Values:
        """What it offers to services, by the contract's names."""
        raise NotImplementedError

    def private_ports(self, port: int) -> dict[int, bool]:
        """Ports that are not for the workspace's services; True where the shell may reach one, by SSH forwarding."""
        return {}

    async def prepare(self, place: Place, program: Program, secret: Values, *, is_new: bool) -> None:
        """Make its data, or bring it to this secret where that `is_new`.

        Raises:
            Unavailable, IsolationError: it could not be.
        """

    def server(self, place: Place, program: Program, secret: Values) -> Server:
        """How it is run."""
        raise NotImplementedError

    async def finish(self, place: Place, program: Program, secret: Values) -> None:
        """What is left to do once it is up.

        Raises:
            Unavailable, IsolationError: it could not be done.
        """
