"""What apps above are told about VMs, and what they are asked before one is stopped or ended.

Both are registries, filled from `AppConfig.ready`. Listeners and holders are called inside the organization's tenancy and
transaction: what they write commits with the change itself.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from uuid import UUID

from hosts.models import Host, Placement


class Change(Enum):
    """What became of a VM.

    READY: its daemon joined after a start; its slots can be used. Whatever ran there before that start is gone.
    LEAVING: it is going to be stopped, ended or replaced, as soon as every holder agrees (THREATS G2).
    AWAY: it no longer runs, by our will or not.
    SILENT: EC2 says that it runs, and its daemon has not been heard of since `heard_at`; it is being stopped (H6).
    REPLACED: a new generation takes its place; slots that were on it are on the new one, which is not ready yet.
    ENDED: it will not come back; slots that were on it are on none.
    """

    READY = "ready"
    LEAVING = "leaving"
    AWAY = "away"
    SILENT = "silent"
    REPLACED = "replaced"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class HostChange:
    """A change of one VM, with the slots that were on it; `cause` is a word such as `idle` or `silent`.

    `heard_at` is when its daemon was last heard of, `running_at` when EC2 last said that it runs: for the meter (H6).
    """

    change: Change
    host_id: UUID
    generation: int
    cause: str
    heard_at: datetime | None
    running_at: datetime | None = None
    slot_ids: tuple[UUID, ...] = field(default=())


Listener = Callable[[HostChange], None]
# Answers whether its app has let go of the VM: no route leads there any more, say.
Holder = Callable[[Host], bool]

_listeners: list[Listener] = []
_holders: dict[str, Holder] = {}


def on_host_change(listener: Listener) -> None:
    """Register what is told of every change of a VM."""
    _listeners.append(listener)


def before_host_goes(name: str, holder: Holder) -> None:
    """Register whose word is needed before a VM is stopped or ended by our will (THREATS G2)."""
    if _holders.setdefault(name, holder) is not holder:
        raise ValueError(f"{name} already has a word in whether a VM may go.")


def may_go(host: Host) -> bool:
    """Whether every holder has let go of the VM."""
    return all(holder(host) for holder in _holders.values())


def announce(host: Host, change: Change, *, cause: str = "", running_at: datetime | None = None) -> None:
    """Tell every listener, inside the caller's transaction."""
    slots = (
        Placement.objects.filter(host=host, ended_at=None)
        .order_by("began_at")
        .values_list("slot_id", flat=True)
    )
    told = HostChange(
        change, host.id, host.generation, cause, host.heard_at, running_at, tuple(slots) if _listeners else ()
    )
    for listener in _listeners:
        listener(told)
