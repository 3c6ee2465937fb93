"""What a part of the program is: something that does commands, tells what is, and finds again what an earlier run left."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from envforge_daemon.config import Config
from envforge_daemon.control_plane import ControlPlane
from envforge_daemon.http import Client
from envforge_daemon.ingress import Ingress
from envforge_daemon.isolation import Workspaces
from envforge_daemon.reports import Outbox
from envforge_daemon.state import State
from envforge_protocol.host.base import Message
from envforge_protocol.host.commands import CommandRan, ContractRead, Done, RuntimeStarted, ShellPrepared
from envforge_protocol.host.reports import ServiceState
from envforge_protocol.host.resources import ResourceState
from envforge_protocol.host.runtimes import Activity

Outcome = ShellPrepared | ContractRead | RuntimeStarted | CommandRan | Done


@dataclass(frozen=True)
class Context:
    """What every part is given."""

    config: Config
    state: State
    workspaces: Workspaces
    ingress: Ingress
    outbox: Outbox
    control_plane: ControlPlane
    client: Client


class Task:
    """One command as whoever does it sees it."""

    def __init__(self, command_id: UUID, attempt: int) -> None:
        self.id = command_id
        self.attempt = attempt
        self.step = ""

    def progress(self, step: str) -> None:
        """Say where it stands, in a word (`checking_out`); told at once, and with each extension of the lease."""
        self.step = step


Handler = Callable[[Task, Any], Awaitable[Outcome]]


@dataclass(frozen=True)
class Doing:
    """How a kind of command is done.

    Commands of one workspace and one `lane` are done one after the other; without a lane, at once. Before it begins it ends
    those of its workspace whose kinds are named in `interrupts`: their tasks are cancelled, and answer `interrupted`.
    """

    payload: type[Message]
    handler: Handler
    lane: str | None = None
    interrupts: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The word on the wire."""
        return str(self.payload.model_fields["kind"].default)


class Part:
    """A part of the program. A handler raises `CommandFailed` for what a person should read; anything else is a fault of ours."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def commands(self) -> Iterable[Doing]:
        """The kinds of command it does."""
        return ()

    async def adopt(self) -> None:
        """Find what an earlier run of the program left running; before the first command."""

    async def run(self) -> None:
        """Whatever goes on by itself (health, ends of windows), for as long as the program runs; must survive its own errors."""

    def services(self) -> Iterable[ServiceState]:
        """For the heartbeat."""
        return ()

    def resources(self) -> Iterable[ResourceState]:
        """For the heartbeat."""
        return ()

    def activity(self) -> Iterable[Activity]:
        """For the heartbeat; what several parts say of one workspace is added up."""
        return ()

    async def close(self) -> None:
        """The program ends; services go on."""
