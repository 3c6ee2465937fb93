"""VMs as tests make and drive them: rows of an organization, and a daemon's way to speak."""

from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import httpx2
from django.conf import settings
from django.utils import timezone

from envforge import tenancy
from envforge_protocol.host.base import PROTOCOL_HEADER
from envforge_protocol.host.commands import Commands, Leased, RunCommand, StopRuntime
from envforge_protocol.host.runtimes import Limits
from envforge_protocol.host.workspaces import Storage, Workspace
from hosts import queue, tokens
from hosts.models import Host, HostCommand, HostRole, HostVoice, Observed, Placement, Size, Slot
from orgs.models import Organization

_numbers = count(0x1000)


def new_host(org: Organization, role: HostRole = HostRole.RUNTIME) -> Host:
    """A running VM of the organization, with an instance of its own."""
    with tenancy.enter(org.id):
        now = timezone.now()
        return Host.objects.create(
            role=role,
            number=Host.objects.filter(role=role).count() + 1,
            size=Size.SMALL,
            wanted_at=now,
            observed=Observed.RUNNING,
            observed_at=now,
            instance_id=f"i-{uuid4().hex[:17]}",
            joined_at=now,
        )


def workspace(label: str = "main") -> Workspace:
    return Workspace(
        id=uuid4(),
        slug=label,
        user=label,
        uid=200_000,
        storage=Storage(kind="directory", directory="/srv/w"),
    )


def place(host: Host, on_it: Workspace) -> None:
    """Put a workspace on a VM."""
    with tenancy.enter(host.org_id):
        slot = Slot.objects.create(
            workspace_id=on_it.id, workspace_label=on_it.slug, role=host.role, size=host.size
        )
        Placement.objects.create(slot=slot, host=host, generation=host.generation, began_at=timezone.now())


def stop(on_it: Workspace, epoch: int = 1) -> StopRuntime:
    return StopRuntime(workspace=on_it, epoch=epoch)


def run(on_it: Workspace, **more: Any) -> RunCommand:
    limits = Limits(memory_mib=256, cpu_millis=500)
    return RunCommand(workspace=on_it, service="web", account=1, command=("true",), limits=limits, **more)


def want(host: Host, payload: Any, key: str = "", **more: Any) -> UUID:
    with tenancy.enter(host.org_id):
        return queue.want(
            host_id=host.id, payload=payload, key=key or f"test-{next(_numbers)}", cause="test", **more
        )


def change(row: Host | HostCommand, **columns: Any) -> None:
    """Set columns of a row as time or another part of the product would."""
    with tenancy.enter(row.org_id):
        type(row).objects.filter(id=row.id).update(**columns)


def command(host: Host, command_id: UUID) -> HostCommand:
    with tenancy.enter(host.org_id):
        return HostCommand.objects.get(id=command_id)


def token_of(host: Host, boot_id: UUID) -> str:
    """A token as joining gives it, without the way through STS."""
    with tenancy.enter(host.org_id):
        locked = Host.objects.select_for_update().get(id=host.id)
        held, _ = tokens.issue(locked, boot_id)
        HostVoice.objects.update_or_create(
            host=locked, defaults={"generation": locked.generation, "boot_id": boot_id, "sequence": 0}
        )
        return held


@dataclass
class Daemon:
    """A daemon that joined: what it says goes over HTTP."""

    address: str
    host: Host
    boot_id: UUID = field(default_factory=uuid4)
    token: str = ""

    def __post_init__(self) -> None:
        self.token = self.token or token_of(self.host, self.boot_id)

    def client(self, **headers: str) -> httpx2.Client:
        known = {
            "Host": settings.HOST_API_HOST,
            PROTOCOL_HEADER: "1",
            "Authorization": f"Bearer {self.token}",
        }
        return httpx2.Client(base_url=self.address, timeout=30, headers=known | headers)

    def get(self, path: str, **headers: str) -> httpx2.Response:
        with self.client(**headers) as client:
            return client.get(f"/host/v1/{path}")

    def post(self, path: str, body: Any, **headers: str) -> httpx2.Response:
        with self.client(**headers) as client:
            if isinstance(body, bytes):
                headers = {"Content-Type": "application/octet-stream"} | headers
                return client.post(f"/host/v1/{path}", content=body, headers=headers)
            return client.post(f"/host/v1/{path}", json=body)

    def poll(self, wait_s: int = 0) -> tuple[Leased, ...]:
        answer = self.get(f"commands?wait_s={wait_s}")
        if answer.status_code == 204:
            return ()
        assert answer.status_code == 200, answer.text
        return Commands.model_validate_json(answer.content).commands

    def poll_status(self) -> int:
        return self.get("commands?wait_s=0").status_code

    def done(self, leased: Leased, **more: Any) -> httpx2.Response:
        outcome = {"kind": leased.payload.kind, **more}
        return self.post(f"commands/{leased.id}/result", {"lease": str(leased.lease), "outcome": outcome})

    def beat(self, sequence: int, **more: Any) -> httpx2.Response:
        body = {
            "boot_id": str(self.boot_id),
            "sequence": sequence,
            "at": timezone.now().isoformat(),
            "free_memory_mib": 1024,
            "free_disk_mib": 2048,
        }
        return self.post("heartbeat", body | more)
