"""A volume for a workspace's managed data that follows its runtime from VM to VM (DESIGN 6): asked for by apps above.

It is made in the zone of the first VM the runtime is awake on, attached to the VM before `start_runtime` is leased to it, and
detached when the runtime sleeps or goes elsewhere: from a running VM only after services were heard to be stopped there.
Volumes cannot leave their zone, so placement keeps the workspace in it (docs/decisions/0008-storage.md).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from envforge import tenancy
from envforge.nudge import nudge
from envforge_protocol.host.commands import Payload
from envforge_protocol.host.workspaces import Volume
from hosts import due, ebs, queue
from hosts.changes import Change, HostChange
from hosts.hooks import Finished
from hosts.lookups import data_volumes_due
from hosts.models import DataVolume, Host, HostCommand, HostRole, Observed, Placement, Slot
from hosts.vendor import Refused

MOST_DUE = 200
POLL = timedelta(seconds=1)
HOLD = timedelta(seconds=30)
SIZE_GIB = 20
# What may be mounted from the moment it is leased, and what says that nothing uses the volume any more.
USES, LETS_GO = "start_runtime", ("stop_runtime", "remove_workspace")
NAMED_IN = ("start_runtime", "stop_runtime", "run_command", "remove_workspace")
# What is true of a volume that is attached to nothing.
_OFF: dict[str, Any] = {"attached_to": "", "device": "", "in_use": False}
# Where it may have changed which instance a volume belongs to, or whether it can be attached there.
_MOVES = frozenset({Change.READY, Change.AWAY, Change.REPLACED, Change.ENDED})


class Lost(Refused):
    """A volume that was there is gone, and with it what was on it."""

    trouble = "data_lost"

    def __init__(self) -> None:
        super().__init__("InvalidVolume.NotFound")


@dataclass(frozen=True, slots=True)
class VolumeView:
    """A workspace's volume: `attached` says that it is attached to the VM its runtime is awake on; `trouble` is a word of ours."""

    workspace_id: UUID
    size_gib: int
    exists: bool
    attached: bool
    trouble: str


def want_volume(*, org_id: UUID, workspace_id: UUID, size_gib: int = SIZE_GIB) -> VolumeView:
    """Want a volume for a workspace's managed data. Asking again changes nothing, whatever the size."""
    with tenancy.enter(org_id):
        row, made = DataVolume.objects.get_or_create(
            workspace_id=workspace_id, defaults={"size_gib": size_gib, "due_at": timezone.now()}
        )
        if not made and not row.wanted_present:
            row = DataVolume.objects.select_for_update().get(id=row.id)
            row.wanted_present, row.removed_at = True, None
            row.save(update_fields=["wanted_present", "removed_at"])
            due.make_due(row)
            made = True
        if made:
            _nudge(row)
        return _view(row)


def drop_volume(*, org_id: UUID, workspace_id: UUID) -> None:
    """Want the volume and all that is on it gone, as soon as nothing uses it: at the end of a workspace's retention."""
    with tenancy.enter(org_id):
        row = (
            DataVolume.objects.select_for_update()
            .filter(workspace_id=workspace_id, wanted_present=True)
            .first()
        )
        if row is not None:
            row.wanted_present = False
            row.save(update_fields=["wanted_present"])
            due.make_due(row)
            _nudge(row)


def volume_of(*, org_id: UUID, workspace_id: UUID) -> VolumeView | None:
    """The workspace's volume, if one was ever wanted and it is not given up."""
    with tenancy.enter(org_id):
        row = DataVolume.objects.filter(workspace_id=workspace_id, wanted_present=True).first()
        return _view(row) if row else None


def follow(workspace_ids: list[UUID]) -> None:
    """Let the volumes of workspaces of the entered organization follow what was just changed of their placement."""
    for row in DataVolume.objects.select_for_update().filter(workspace_id__in=workspace_ids, removed_at=None):
        due.make_due(row)
        _nudge(row)


def heard(change: HostChange) -> None:
    """A VM came up, went away or was replaced: so may the volumes of those on it have to."""
    if change.change in _MOVES and change.slot_ids:
        slots = Slot.objects.filter(id__in=change.slot_ids, role=HostRole.RUNTIME)
        follow(list(slots.values_list("workspace_id", flat=True)))


def let_go(ended: Finished) -> None:
    """Services were stopped on a VM, and their data unmounted: the volume may leave it."""
    if ended.outcome is None:
        return
    instance_id = Host.objects.values_list("instance_id", flat=True).get(id=ended.command.host_id)
    used = DataVolume.objects.select_for_update().filter(
        workspace_id=ended.command.workspace_id, attached_to=instance_id, in_use=True
    )
    for row in used:
        row.in_use = False
        row.save(update_fields=["in_use"])
        due.make_due(row)
        _nudge(row)


def waits(workspace_id: Any, instance_id: str) -> Any:
    """A query for volumes that a workspace has, and that are not attached to this instance."""
    rows = DataVolume.objects.filter(workspace_id=workspace_id, wanted_present=True)
    return rows.exclude(attached_to=instance_id) if instance_id else rows


def leased(command: HostCommand, payload: Payload, instance_id: str) -> Payload:
    """What a VM is given, with the workspace's volume named where it is attached to that instance. Once `start_runtime` is leased,
    in the same transaction, the volume may be mounted.
    """
    if command.kind not in NAMED_IN:
        return payload
    for row in DataVolume.objects.filter(workspace_id=command.workspace_id, removed_at=None):
        if command.kind == USES and row.wanted_present:
            DataVolume.objects.filter(id=row.id).update(in_use=True)
        if row.attached_to and row.attached_to == instance_id:
            volume = Volume(id=row.volume_id)
            workspace = payload.workspace.model_copy(update={"data": volume})  # type: ignore[union-attr]
            payload = payload.model_copy(update={"workspace": workspace})
    return payload


def zone_of(workspace_id: UUID) -> str:
    """The zone that a workspace of the entered organization must be in; empty where any will do."""
    zones = DataVolume.objects.filter(workspace_id=workspace_id, removed_at=None).values_list(
        "zone", flat=True
    )
    return zones.first() or ""


def zone_needed(host: Host) -> str:
    """The zone that a VM must be made in for the volumes of those on it, in its entered organization."""
    there = Placement.objects.filter(host=host, ended_at=None, slot__role=HostRole.RUNTIME)
    rows = DataVolume.objects.filter(
        workspace_id__in=there.values("slot__workspace_id"), removed_at=None
    ).exclude(zone="")
    return rows.values_list("zone", flat=True).first() or ""


def settle(org_id: UUID, row_id: UUID) -> bool:
    """Take the step that is due; answers whether one was (`hosts.due`). What waited for the volume may be leased at once."""
    taken = due.settle(DataVolume.objects, org_id, row_id, _bring_about)
    if taken:
        with tenancy.enter(org_id):
            row = DataVolume.objects.exclude(attached_to="").filter(id=row_id).first()
            for host_id in (
                Host.objects.filter(instance_id=row.attached_to).values_list("id", flat=True) if row else ()
            ):
                queue.wake(host_id)
    return taken


def sweep() -> int:
    """Take every step that is due; answers how many."""
    return sum(settle(*pair) for pair in data_volumes_due(timezone.now(), MOST_DUE))


@dataclass(frozen=True, slots=True)
class _Where:
    """Where a volume belongs: on this instance, if the workspace is awake; `device` is free there, `runs` says EC2."""

    instance_id: str = ""
    zone: str = ""
    device: str = ""
    runs: bool = False
    may_leave: bool = True


def _bring_about(row: DataVolume) -> dict[str, Any]:
    with tenancy.enter(row.org_id):
        where = _where(row)
    seen = ebs.describe(row.volume_id) if row.volume_id else ebs.find(row.id)
    if seen is None:
        return _without(row, where)
    known = {"volume_id": seen.volume_id, "zone": seen.zone}
    attached = seen.instance_id if seen.attachment == "attached" else ""
    stays = row.wanted_present and seen.instance_id == where.instance_id != ""
    if seen.attachment == "attached" and stays:
        return known | {"attached_to": attached, "device": row.device or where.device}
    if seen.attachment == "attached":
        if not where.may_leave:
            return known | {"due_at": _after(HOLD)}
        ebs.detach(seen.volume_id)
        return known | _OFF | {"due_at": _after(POLL)}
    if seen.state == "available" and not row.wanted_present:
        ebs.delete(seen.volume_id)
        return known | _OFF | {"due_at": _after(POLL)}
    if seen.state == "available":
        if not where.runs:
            return known | _OFF
        if not where.device:
            # Sleepers' volumes are on their way from there.
            return known | _OFF | {"due_at": _after(HOLD)}
        ebs.attach(seen.volume_id, instance_id=where.instance_id, device=where.device)
        return known | _OFF | {"device": where.device, "due_at": _after(POLL)}
    return known | {"due_at": _after(POLL)}


def _without(row: DataVolume, where: _Where) -> dict[str, Any]:
    """The step where EC2 knows no volume."""
    if not row.wanted_present:
        return {"volume_id": "", "zone": "", "removed_at": timezone.now(), **_OFF}
    if row.volume_id:
        # A new one would be empty, and nobody would have been told that the data are gone.
        raise Lost
    if not where.zone:
        return {}
    made = ebs.create(
        row_id=row.id,
        org_id=row.org_id,
        workspace_id=row.workspace_id,
        zone=where.zone,
        size_gib=row.size_gib,
    )
    return {"volume_id": made.volume_id, "zone": made.zone, "due_at": _after(POLL)}


def _where(row: DataVolume) -> _Where:
    awake = Placement.objects.select_related("host").filter(
        slot__workspace_id=row.workspace_id, slot__role=HostRole.RUNTIME, slot__active=True, ended_at=None
    )
    placement = awake.first()
    holder = Host.objects.filter(instance_id=row.attached_to).first() if row.attached_to else None
    may_leave = (
        not row.in_use or holder is None or holder.observed not in {Observed.RUNNING, Observed.STOPPING}
    )
    if placement is None or not placement.host.instance_id:
        return _Where(may_leave=may_leave)
    host = placement.host
    # One that is on its way anywhere keeps its name free here: there are more names than workspaces on a VM.
    others = (
        DataVolume.objects.filter(attached_to__in=["", host.instance_id])
        .exclude(device="")
        .exclude(id=row.id)
    )
    taken = set(others.values_list("device", flat=True))
    free = next((one for one in ebs.DEVICES if one not in taken), "")
    return _Where(host.instance_id, host.zone, free, host.observed == Observed.RUNNING, may_leave)


def _after(time: timedelta) -> datetime:
    return timezone.now() + time


def _view(row: DataVolume) -> VolumeView:
    where = _where(row)
    attached = row.attached_to != "" and row.attached_to == where.instance_id
    return VolumeView(row.workspace_id, row.size_gib, bool(row.volume_id), attached, row.trouble)


def _nudge(row: DataVolume) -> None:
    from hosts import tasks  # noqa: PLC0415 - a task leads here

    nudge(tasks.settle_volume, row.org_id, row.id)
