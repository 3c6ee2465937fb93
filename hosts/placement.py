"""Which workspace is on which VM: the organization's own, always (V1).

A workspace claims a slot for its shell and one for its runtime, and activates it while it wants to be awake. Only then it
takes room. It goes to a running VM of the organization with room, else to one that is stopped, else to a new one, and stays
where it was as long as it fits there. All of these are called by operations above, which ask policy; the actor stands
in the events.
"""

from dataclasses import dataclass
from uuid import UUID

from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import Actor
from envforge.errors import NotVisible
from hosts.models import Host, HostRole, Mend, Observed, Placement, PlacementPolicy, Power, Size, Slot
from hosts.sizes import room_of, size_of_new_host, units_of
from hosts.volumes import follow, zone_needed, zone_of
from hosts.walls import keep_out
from hosts.wants import is_used, leave, lock_placements, new_host, unused, used


@dataclass(frozen=True, slots=True)
class SlotView:
    """A slot, and the VM it is on. `ready`: the VM runs and its daemon has joined, so that commands reach it."""

    id: UUID
    workspace_id: UUID
    role: HostRole
    size: Size
    active: bool
    host_id: UUID | None
    generation: int
    ready: bool
    trouble: str
    address: str | None


def claim_slot(
    *,
    actor: Actor,
    org_id: UUID,
    workspace_id: UUID,
    label: str,
    role: HostRole,
    size: Size,
    dedicated: bool = False,
) -> SlotView:
    """Claim room for a workspace; it takes none until it is activated. Claiming again changes nothing."""
    with tenancy.enter(org_id):
        lock_placements()
        return _view(_claimed(workspace_id, label, role, size, dedicated=dedicated))


def awake_slot(
    *, actor: Actor, org_id: UUID, workspace_id: UUID, label: str, role: HostRole, size: Size
) -> SlotView:
    """Room of this size for a workspace that wants to be awake: claimed, placed, and its VM wanted running. Again, it changes nothing."""
    with tenancy.enter(org_id):
        lock_placements()
        slot = _claimed(workspace_id, label, role, size)
        if slot.size != size:
            if slot.active:
                _sleep(slot)
            slot.size = size
            slot.save(update_fields=["size"])
        return _activated(actor, slot)


def activate_slot(*, actor: Actor, org_id: UUID, slot_id: UUID) -> SlotView:
    """Want a workspace awake: place it, and want its VM running. Again, it changes nothing; after its VM was ended it is placed anew.

    Raises:
        NotVisible: there is no such slot, or it was released.
    """
    with tenancy.enter(org_id):
        return _activated(actor, _lock(slot_id))


def deactivate_slot(*, actor: Actor, org_id: UUID, slot_id: UUID) -> SlotView:
    """A workspace sleeps: its room is free, its VM is stopped in a while if nobody else is awake there.

    It keeps its place until the VM ends, others need the room, or it goes elsewhere. Errors as `activate_slot`.
    """
    with tenancy.enter(org_id):
        slot = _lock(slot_id)
        if slot.active:
            _sleep(slot)
        return _view(slot)


def release_slot(*, actor: Actor, org_id: UUID, slot_id: UUID) -> None:
    """Give the room up for good. The history stays. Errors as `activate_slot`."""
    with tenancy.enter(org_id):
        slot = _lock(slot_id)
        if slot.active:
            _sleep(slot)
        now = timezone.now()
        leave(_open_placements(slot), now, actor=actor)
        slot.released_at = now
        slot.save(update_fields=["released_at"])


def dedicate_slots(*, actor: Actor, org_id: UUID, workspace_id: UUID, dedicated: bool) -> list[SlotView]:
    """Put a workspace on VMs of its own, or no longer (V3, H5). What is awake moves at once, to a VM that comes up;
    whoever runs something there is told by the new place in the answer.
    """
    with tenancy.enter(org_id):
        lock_placements()
        views = []
        for slot in Slot.objects.select_for_update().filter(workspace_id=workspace_id, released_at=None):
            if slot.dedicated != dedicated:
                slot.dedicated = dedicated
                slot.save(update_fields=["dedicated"])
                if slot.active:
                    _place(actor, slot)
                    follow([slot.workspace_id])
            views.append(_view(slot))
        return views


def slot_of(*, org_id: UUID, workspace_id: UUID, role: HostRole) -> SlotView | None:
    """The workspace's slot of a role, for apps above."""
    with tenancy.enter(org_id):
        slot = Slot.objects.filter(workspace_id=workspace_id, role=role, released_at=None).first()
        return _view(slot) if slot else None


def host_ready(*, org_id: UUID, slot_id: UUID) -> bool:
    """Whether a slot's VM can be given commands now."""
    with tenancy.enter(org_id):
        slot = Slot.objects.filter(id=slot_id).first()
        return slot is not None and _view(slot).ready


def _lock(slot_id: UUID) -> Slot:
    lock_placements()
    slot = Slot.objects.select_for_update().filter(id=slot_id, released_at=None).first()
    if slot is None:
        raise NotVisible
    return slot


def _claimed(workspace_id: UUID, label: str, role: HostRole, size: Size, *, dedicated: bool = False) -> Slot:
    """The workspace's slot of the role, locked; the caller holds `lock_placements`."""
    slot = (
        Slot.objects.select_for_update()
        .filter(workspace_id=workspace_id, role=role, released_at=None)
        .first()
    )
    return slot or Slot.objects.create(
        workspace_id=workspace_id, workspace_label=label, role=role, size=size, dedicated=dedicated
    )


def _activated(actor: Actor, slot: Slot) -> SlotView:
    if slot.active and (present := _placement(slot)) is not None:
        return _view_on(slot, present.host)
    if not slot.active:
        slot.active, slot.active_since = True, timezone.now()
        slot.save(update_fields=["active", "active_since"])
    host = _place(actor, slot)
    follow([slot.workspace_id])
    return _view_on(slot, host)


def _sleep(slot: Slot) -> None:
    slot.active, slot.active_since = False, None
    slot.save(update_fields=["active", "active_since"])
    for placement in _open_placements(slot):
        _left_by_one(placement.host_id)
    follow([slot.workspace_id])


def _left_by_one(host_id: UUID) -> None:
    host = Host.objects.select_for_update().get(id=host_id)
    if not is_used(host):
        unused(host, timezone.now())


def _open_placements(slot: Slot) -> list[Placement]:
    return list(Placement.objects.select_related("slot").filter(slot=slot, ended_at=None))


def _place(actor: Actor, slot: Slot) -> Host:
    """Find the slot its VM and want that one running; the caller holds `lock_placements`."""
    now = timezone.now()
    present = _open_placements(slot)
    dedicated = _is_dedicated(slot)
    host = _choose(slot, present[0].host_id if present else None, dedicated=dedicated)
    if host is None:
        host = new_host(
            actor=actor,
            role=slot.role,
            size=size_of_new_host(slot.role, slot.size, dedicated=dedicated),
            dedicated_to=slot.workspace_id if dedicated else None,
            now=now,
            cause="placement",
        )
    if not present or (present[0].host_id, present[0].generation) != (host.id, host.generation):
        leave(present, now, actor=actor)
        Placement.objects.create(slot=slot, host=host, generation=host.generation, began_at=now)
        append(EventKind.PLACEMENT_MADE, actor=actor, target=slot, role=slot.role, host_id=host.id)
        for old in present:
            if old.host_id != host.id:
                _left_by_one(old.host_id)
    used(host, now)
    return host


def _choose(slot: Slot, present_id: UUID | None, *, dedicated: bool) -> Host | None:
    """The best VM there is, locked; None where a new one is needed."""
    alone = slot.workspace_id if dedicated else None
    hosts = Host.objects.filter(role=slot.role, dedicated_to=alone).exclude(wanted=Power.ENDED)
    taken = _taken(slot)
    needed = units_of(slot.role, slot.size)
    zone = zone_of(slot.workspace_id) if slot.role == HostRole.RUNTIME else ""
    free = {
        host.id: room_of(host.role, host.size) - taken.get(host.id, 0) - needed
        for host in hosts
        if not zone or zone == (host.zone or zone_needed(host))
    }
    fitting = [host for host in hosts if free.get(host.id, -1) >= 0]
    # Running before stopped, where it was before elsewhere, the fullest before the emptiest.
    fitting.sort(key=lambda one: (_distance(one), one.id != present_id, free[one.id], one.number))
    for host in fitting:
        locked = Host.objects.select_for_update().get(id=host.id)
        # Placements are held off; only a reconciler may have decided meanwhile that it ends.
        if locked.wanted != Power.ENDED:
            return locked
    return None


def _distance(host: Host) -> int:
    if host.wanted == Power.RUNNING and host.mend != Mend.REPLACE and not keep_out(host):
        return 0 if host.observed == Observed.RUNNING else 1
    return 2 if host.wanted == Power.STOPPED else 3


def _taken(besides: Slot) -> dict[UUID, int]:
    """Units of those awake on each VM, the slot itself left out."""
    rows = (
        Placement.objects.filter(ended_at=None, slot__active=True, slot__role=besides.role)
        .exclude(slot=besides)
        .values_list("host_id", "slot__role", "slot__size")
    )
    taken: dict[UUID, int] = {}
    for host_id, role, size in rows:
        taken[host_id] = taken.get(host_id, 0) + units_of(role, size)
    return taken


def _is_dedicated(slot: Slot) -> bool:
    return slot.dedicated or PlacementPolicy.objects.filter(vm_per_workspace=True).exists()


def _placement(slot: Slot) -> Placement | None:
    return Placement.objects.select_related("host").filter(slot=slot, ended_at=None).first()


def _view(slot: Slot) -> SlotView:
    placement = _placement(slot)
    return _view_on(slot, placement.host if placement else None)


def _view_on(slot: Slot, host: Host | None) -> SlotView:
    return SlotView(
        id=slot.id,
        workspace_id=slot.workspace_id,
        role=HostRole(slot.role),
        size=Size(slot.size),
        active=slot.active,
        host_id=host.id if host else None,
        generation=host.generation if host else 0,
        ready=host is not None and is_ready(host),
        trouble=host.trouble if host else "",
        address=host.address if host else None,
    )


def is_ready(host: Host) -> bool:
    """Whether the VM runs as wanted and its daemon has joined since its start, and was heard of."""
    return (
        host.wanted == Power.RUNNING
        and host.observed == Observed.RUNNING
        and host.mend == Mend.NOTHING
        and host.joined_at is not None
        and host.heard_at is not None
        and host.heard_at >= host.joined_at
        and not keep_out(host)
    )
