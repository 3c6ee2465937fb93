"""What a VM tells by itself.

`POST /host/v1/heartbeat` every few seconds; `POST /host/v1/reports` for what must not be lost: kept on the VM until
acknowledged, sent again, taken once by `id` (within `REPORTS_REMEMBERED_DAYS`).

`POST /host/v1/runs/COMMAND_ID/output?offset=N` carries the masked output of a `run_command` as bytes
(`application/octet-stream`, at most `OUTPUT_PART_BYTES` a part), in order: `OutputTaken`, or 409 with the offset to go on
from. A part that was taken already is taken again without effect.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from envforge_protocol.host.base import Label, Message
from envforge_protocol.host.resources import ResourceState
from envforge_protocol.host.runtimes import Activity, Health

MOST_REPORTS = 100
REPORTS_REMEMBERED_DAYS = 30
OUTPUT_PART_BYTES = 256 * 1024


class ServiceState(Message):
    """One service, now."""

    workspace_id: UUID
    epoch: int
    name: Label
    health: Health
    since: datetime
    restarts: int = 0


class Wall(StrEnum):
    """What stands between customers' code and everything else (THREATS H1-H3)."""

    ACCOUNTS = "accounts"
    NAMESPACES = "network_namespaces"
    FIREWALL = "firewall"
    LIMITS = "limits"
    PRIVATE_VIEW = "private_view"


class Heartbeat(Message):
    """The VM is alive. `sequence` grows by one each time within one `boot_id`; `missing_walls` do not stand on this VM."""

    boot_id: UUID
    sequence: int = Field(ge=1)
    at: datetime
    services: tuple[ServiceState, ...] = Field(default=(), max_length=1000)
    resources: tuple[ResourceState, ...] = Field(default=(), max_length=1000)
    activity: tuple[Activity, ...] = Field(default=(), max_length=200)
    free_memory_mib: int = Field(ge=0)
    free_disk_mib: int = Field(ge=0)
    missing_walls: tuple[Wall, ...] = ()


class HeartbeatAnswer(Message):
    """What the daemon should do: `upgrade` says that its protocol will soon be answered no more."""

    instruction: Literal["go_on", "join_again", "upgrade"] = "go_on"
    now: datetime


class ShellConnected(Message):
    """Somebody's SSH session began.

    `serial` is the certificate's; who it was issued to is known where it was issued. `key_id` is what the certificate
    says for people to read in the VM's own log, and is believed by nobody.
    """

    kind: Literal["shell_connected"] = "shell_connected"
    workspace_id: UUID
    session_id: UUID
    serial: int
    key_id: str


class ShellDisconnected(Message):
    """An SSH session ended, and why."""

    kind: Literal["shell_disconnected"] = "shell_disconnected"
    workspace_id: UUID
    session_id: UUID
    serial: int
    key_id: str
    duration_s: int
    cause: Literal["left", "certificate_expired", "access_ended", "idle", "lost", "restarted"]


class ServiceEnded(Message):
    """A service's process ended without being asked to."""

    kind: Literal["service_ended"] = "service_ended"
    workspace_id: UUID
    epoch: int
    service: Label
    exit_status: int
    restarts: int
    gave_up: bool


class RootEnded(Message):
    """A root window ended on the VM."""

    kind: Literal["root_ended"] = "root_ended"
    workspace_id: UUID
    request_id: UUID
    cause: Literal["expired", "dropped"]


class ContractChanged(Message):
    """`envforge.yml` in a working tree is another than was last read."""

    kind: Literal["contract_changed"] = "contract_changed"
    workspace_id: UUID
    directory: Label
    digest: str


Body = Annotated[
    ShellConnected | ShellDisconnected | ServiceEnded | RootEnded | ContractChanged,
    Field(discriminator="kind"),
]


class Report(Message):
    """One thing that happened, at the VM's clock."""

    id: UUID
    at: datetime
    body: Body


class Reports(Message):
    """At most 100 at a time, in order."""

    reports: tuple[Report, ...] = Field(max_length=MOST_REPORTS)


class Taken(Message):
    """The ids that are safely recorded; the VM forgets them."""

    ids: tuple[UUID, ...]


class OutputTaken(Message):
    """So many bytes are kept; `full` says that no more will be."""

    next_offset: int
    full: bool = False
