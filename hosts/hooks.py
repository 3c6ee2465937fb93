"""How apps above hear from VMs and give them what they need: registries, filled from `AppConfig.ready`.

| registered with | called | where |
|---|---|---|
| `on_lease(kind, fill)` | when a command of this kind is leased | outside of any transaction; the payload it answers is sent and stored nowhere (K2) |
| `on_result(kind, receive)` | when a command is over, however that came | inside the transaction that records it, in its organization |
| `on_report(kind, receive)` | for each report, once | the same |
| `on_heartbeat(receive)` | for each heartbeat that tells of services or activity | the same |
| `on_output(receive)` | for each part of a command's output, in order, once | the same |

What is raised inside a transaction rolls it back; the VM then sends the same again. A VM tells only of workspaces that
are, or lately were, placed on it: what it says of others never gets here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from envforge.actor import HostActor
from envforge.errors import EnvForgeError
from envforge_protocol.host.commands import Failure, Outcome, Payload
from envforge_protocol.host.reports import Heartbeat, Report


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRef:
    """A command, by what it is of."""

    id: UUID
    org_id: UUID
    host_id: UUID
    generation: int
    workspace_id: UUID
    kind: str
    key: str
    cause: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a command ended: `outcome` or `failure`, the other is None.

    `payload` is what was asked, without credentials; None where an earlier version wrote it in words this one does not
    know. Failures that no VM reported: `expired`, `lease_lost`, `withdrawn`, `host_replaced`, `host_ended`, `unreadable`,
    and what a filler refused with.
    """

    command: CommandRef
    payload: Payload | None
    outcome: Outcome | None
    failure: Failure | None
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPart:
    """A part of a command's output; `offset` is where it begins."""

    command: CommandRef
    offset: int
    data: bytes


class CannotFill(EnvForgeError):
    """Raised by a filler: this command can never be given what it needs; it fails with this word and sentence.

    Anything that passes by itself is an `Unavailable`: the command is leased again a little later.
    """

    def __init__(self, word: str, sentence: str) -> None:
        super().__init__(sentence)
        self.word = word


Filler = Callable[[CommandRef, Payload], Payload]
Needed = Callable[[Payload], bool]
ResultReceiver = Callable[[Finished], None]
ReportReceiver = Callable[[HostActor, Report], None]
HeartbeatReceiver = Callable[[HostActor, Heartbeat], None]
OutputReceiver = Callable[[OutputPart], None]

_fillers: dict[str, list[tuple[Filler, Needed]]] = {}
_results: dict[str, list[ResultReceiver]] = {}
_reports: dict[str, list[ReportReceiver]] = {}
_heartbeats: list[HeartbeatReceiver] = []
_outputs: list[OutputReceiver] = []


def on_lease(kind: str, fill: Filler, *, needed: Needed = lambda _: True) -> None:
    """Register what puts credentials into a kind of command; several fill one after the other. Whoever fills asks others and is
    waited for, so not where it is not `needed`.
    """
    _fillers.setdefault(kind, []).append((fill, needed))


def on_result(kind: str, receive: ResultReceiver) -> None:
    """Register who hears how commands of a kind ended."""
    _results.setdefault(kind, []).append(receive)


def on_report(kind: str, receive: ReportReceiver) -> None:
    """Register who hears reports of a kind."""
    _reports.setdefault(kind, []).append(receive)


def on_heartbeat(receive: HeartbeatReceiver) -> None:
    """Register who hears of services and activity; it must be quick, a VM says so every few seconds."""
    _heartbeats.append(receive)


def on_output(receive: OutputReceiver) -> None:
    """Register who keeps the output of commands."""
    _outputs.append(receive)


def fill(command: CommandRef, payload: Payload) -> Payload:
    """The payload with what its fillers put into it."""
    for one, needed in _fillers.get(payload.kind, ()):
        if needed(payload):
            payload = one(command, payload)
    return payload


def is_filled(payload: Payload) -> bool:
    """Whether something is to be put into it."""
    return any(needed(payload) for _, needed in _fillers.get(payload.kind, ()))


def finished(ended: Finished) -> None:
    for receive in _results.get(ended.command.kind, ()):
        receive(ended)


def reported(actor: HostActor, report: Report) -> None:
    for receive in _reports.get(report.body.kind, ()):
        receive(actor, report)


def beaten(actor: HostActor, heartbeat: Heartbeat) -> None:
    for receive in _heartbeats:
        receive(actor, heartbeat)


def heartbeats_are_heard() -> bool:
    return bool(_heartbeats)


def output_is_kept() -> bool:
    return bool(_outputs)


def put_out(part: OutputPart) -> None:
    for receive in _outputs:
        receive(part)
