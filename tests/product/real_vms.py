"""The chain from a claim to a daemon that works: placement, reconciler, EC2, the simulator, joining, commands; nothing played."""

import time
from collections.abc import Iterator
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from django.test import override_settings

from envforge import aws, tenancy
from envforge.actor import SYSTEM
from envforge_protocol.host.commands import Payload
from envforge_protocol.host.workspaces import Storage, Workspace
from hosts import files, placement, queue, reconcile
from hosts.ec2 import HOST_TAG
from hosts.hooks import Finished
from hosts.models import Host, HostCommand, HostRole, Size
from hosts.placement import SlotView
from tests.product.world import World
from tests.vms import Vms, eventually

JOINS_WITHIN_S = 60.0


class Chain:
    """Acme's VMs, run by the simulator. Steps are taken by whoever `drives`: this process, unless workers do it."""

    def __init__(self, world: World, vms: Vms) -> None:
        self.world, self.vms = world, vms
        self.org_id: UUID = world.acme.id
        self.drives = True
        vms.include(str(self.org_id))

    def drive(self) -> None:
        """Take the steps that are due, as a worker's sweep does."""
        if self.drives:
            for host in self.hosts():
                reconcile.reconcile(self.org_id, host.id)

    def until(self, true: object, complaint: str, within_s: float = JOINS_WITHIN_S) -> object:
        """Drive until something holds."""
        assert callable(true)

        def look() -> object:
            self.drive()
            return true()

        return eventually(look, complaint, within_s)

    def hosts(self) -> list[Host]:
        with tenancy.enter(self.org_id):
            return list(Host.objects.order_by("created_at"))

    def host(self) -> Host:
        """The only one."""
        [host] = self.hosts()
        return host

    def awake(self, role: HostRole = HostRole.RUNTIME, workspace_id: UUID | None = None) -> SlotView:
        """A workspace that wants to be awake on a VM of its organization."""
        slot = placement.claim_slot(
            actor=SYSTEM,
            org_id=self.org_id,
            workspace_id=workspace_id or uuid4(),
            label="feature",
            role=role,
            size=Size.SMALL,
        )
        return placement.activate_slot(actor=SYSTEM, org_id=self.org_id, slot_id=slot.id)

    def ready(self, slot: SlotView, within_s: float = JOINS_WITHIN_S) -> Host:
        """Drive until the slot's VM can be given commands."""
        self.until(
            lambda: placement.host_ready(org_id=self.org_id, slot_id=slot.id), self.complaint(), within_s
        )
        view = placement.slot_of(org_id=self.org_id, workspace_id=slot.workspace_id, role=slot.role)
        assert view is not None
        assert view.host_id is not None
        with tenancy.enter(self.org_id):
            return Host.objects.get(id=view.host_id)

    def workspace(self, slot: SlotView) -> Workspace:
        """The slot's workspace as the VM is told of it."""
        found = files.want_files(org_id=self.org_id, workspace_id=slot.workspace_id)
        return Workspace(
            id=slot.workspace_id,
            slug="feature",
            user="feature",
            uid=found.uid,
            storage=Storage(
                kind="directory", directory=str(self.vms.directory / "files" / found.workspace_id.hex)
            ),
        )

    def want(self, host: Host, payload: Payload, key: str) -> UUID:
        with tenancy.enter(self.org_id):
            return queue.want(host_id=host.id, payload=payload, key=key, cause="test")

    def command(self, command_id: UUID) -> HostCommand:
        with tenancy.enter(self.org_id):
            return HostCommand.objects.get(id=command_id)

    def done(self, command_id: UUID, within_s: float = 60.0) -> HostCommand:
        """Drive until the command is over."""
        self.until(
            lambda: self.command(command_id).finished_at is not None,
            f"no result: {self.complaint()}",
            within_s,
        )
        return self.command(command_id)

    def instances(self, *states: str) -> list[str]:
        """The organization's instances of these states, the living ones by default."""
        filters = [
            {"Name": f"tag:{HOST_TAG}", "Values": [str(one.id) for one in self.hosts()]},
            {
                "Name": "instance-state-name",
                "Values": list(states) or ["pending", "running", "stopping", "stopped"],
            },
        ]
        answer = aws.client("ec2").describe_instances(Filters=filters)
        return [one["InstanceId"] for found in answer["Reservations"] for one in found["Instances"]]

    def complaint(self) -> str:
        """What is known when something does not happen."""
        known = [f"{one.name}: {one.wanted}/{one.observed} {one.trouble}" for one in self.hosts()]
        consoles = [self.vms.console(one.instance_id) for one in self.hosts() if one.instance_id]
        return "\n".join([*known, *consoles])

    def end(self) -> None:
        """End every VM, as an organization that leaves does."""
        for host in self.hosts():
            if host.instance_id:
                aws.client("ec2").terminate_instances(InstanceIds=[host.instance_id])


def finished(heard: list[Finished], command_id: UUID) -> list[Finished]:
    """How often apps above were told that the command is over."""
    return [one for one in heard if one.command.id == command_id]


@pytest.fixture
def chain(world: World, vms: Vms, address: str) -> Iterator[Chain]:
    with override_settings(HOST_API_HOST=urlsplit(address).hostname, HOST_API_URL=address):
        made = Chain(world, vms)
        yield made
        made.end()
        deadline = time.monotonic() + 20
        while any(vms.is_on(one.instance_id) for one in made.hosts() if one.instance_id):
            assert time.monotonic() < deadline, made.complaint()
            time.sleep(0.05)
