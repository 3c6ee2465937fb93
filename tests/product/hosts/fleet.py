"""An organization's VMs as tests drive them: claims, steps, and the daemon's joining, against the real local endpoint."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from audit.filters import Filter
from audit.models import Event
from audit.selectors import page
from envforge import aws, tenancy
from envforge.actor import SYSTEM
from hosts import arrivals, placement, reconcile
from hosts.ec2 import HOST_TAG
from hosts.models import Host, HostRole, Placement, Size
from hosts.placement import SlotView

if TYPE_CHECKING:
    from tests.product.hosts.conftest import Clock


class Fleet:
    """One organization's VMs."""

    def __init__(self, org_id: UUID, clock: Clock) -> None:
        self.org_id = org_id
        self.clock = clock
        self.ec2: Any = aws.client("ec2")

    def claim(
        self,
        label: str = "feature",
        role: HostRole = HostRole.RUNTIME,
        size: Size = Size.SMALL,
        *,
        dedicated: bool = False,
        workspace_id: UUID | None = None,
    ) -> SlotView:
        return placement.claim_slot(
            actor=SYSTEM,
            org_id=self.org_id,
            workspace_id=workspace_id or uuid4(),
            label=label,
            role=role,
            size=size,
            dedicated=dedicated,
        )

    def wake(self, slot: SlotView) -> SlotView:
        return placement.activate_slot(actor=SYSTEM, org_id=self.org_id, slot_id=slot.id)

    def sleep(self, slot: SlotView) -> SlotView:
        return placement.deactivate_slot(actor=SYSTEM, org_id=self.org_id, slot_id=slot.id)

    def release(self, slot: SlotView) -> None:
        placement.release_slot(actor=SYSTEM, org_id=self.org_id, slot_id=slot.id)

    def awake(self, label: str = "feature", size: Size = Size.SMALL, **options: Any) -> SlotView:
        return self.wake(self.claim(label, size=size, **options))

    def hosts(self) -> list[Host]:
        with tenancy.enter(self.org_id):
            return list(Host.objects.order_by("created_at"))

    def host(self, slot: SlotView | None = None) -> Host:
        """The host of a slot, or the only one."""
        if slot is None:
            [host] = self.hosts()
            return host
        with tenancy.enter(self.org_id):
            return Host.objects.get(placements__slot_id=slot.id, placements__ended_at=None)

    def placements(self) -> list[Placement]:
        with tenancy.enter(self.org_id):
            return list(Placement.objects.select_related("host", "slot").order_by("began_at"))

    def step(self, host: Host, times: int = 1) -> Host:
        """Let the reconciler look up to `times` times, each when it is due; longer than a minute is not waited for."""
        for _ in range(times):
            current = self.fresh(host)
            wait = current.due_at - self.clock.now() if current.due_at else timedelta(0)
            if timedelta(0) < wait < timedelta(minutes=1):
                self.clock.ahead += wait
            reconcile.reconcile(self.org_id, host.id)
        return self.fresh(host)

    def fresh(self, host: Host) -> Host:
        with tenancy.enter(self.org_id):
            return Host.objects.get(id=host.id)

    def join(self, host: Host) -> Host:
        """The VM's daemon proves who it is."""
        with tenancy.enter(self.org_id):
            locked = Host.objects.select_for_update().get(id=host.id)
            arrivals.note_joined(locked, boot_id=uuid4(), now=self.clock.now())
            arrivals.note_ready(locked.id, locked.generation)
        return self.fresh(host)

    def hear(self, host: Host) -> None:
        with tenancy.enter(self.org_id):
            Host.objects.filter(id=host.id).update(heard_at=self.clock.now())

    def up(self, host: Host) -> Host:
        """Step until it runs, and join."""
        self.step(host, 3)
        return self.join(host)

    def instances(self, host: Host, *states: str) -> list[dict[str, Any]]:
        """What EC2 has of the host, living unless states are given."""
        wanted = list(states) or ["pending", "running", "stopping", "stopped"]
        filters = [
            {"Name": f"tag:{HOST_TAG}", "Values": [str(host.id)]},
            {"Name": "instance-state-name", "Values": wanted},
        ]
        answer = self.ec2.describe_instances(Filters=filters)
        return [one for reservation in answer["Reservations"] for one in reservation["Instances"]]

    def events(self, kind: str) -> list[Event]:
        with tenancy.enter(self.org_id):
            return page(Filter(kind=kind), size=500).events
