"""What the drills of VMs do inside the product: `python -m tests.drill.vm_acts ORGANIZATION ACT ...`; one JSON object comes out."""

import json
import sys
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import django

django.setup()

from django.utils import timezone  # noqa: E402

from envforge import tenancy  # noqa: E402
from envforge.actor import SYSTEM  # noqa: E402
from envforge_protocol.host.commands import StartRuntime, StopRuntime  # noqa: E402
from envforge_protocol.host.runtimes import Limits, Manifest, Service, Step  # noqa: E402
from envforge_protocol.host.workspaces import Storage, Workspace  # noqa: E402
from hosts import files, placement, queue, volumes  # noqa: E402
from hosts.models import DataVolume, Host, HostCommand, HostRole, Size, Slot  # noqa: E402
from hosts.reconcile import reconcile  # noqa: E402
from orgs.lookups import organization_by_slug  # noqa: E402

SETUP_S = 8
LIMITS = Limits(memory_mib=256, cpu_millis=500)


def awake(org_id: UUID, workspace: str = "") -> dict[str, Any]:
    """A workspace that wants to be awake on a VM of its own, with files and a volume."""
    workspace_id = UUID(workspace) if workspace else uuid4()
    files.want_files(org_id=org_id, workspace_id=workspace_id)
    volumes.want_volume(org_id=org_id, workspace_id=workspace_id)
    slot = placement.claim_slot(
        actor=SYSTEM,
        org_id=org_id,
        workspace_id=workspace_id,
        label="drill",
        role=HostRole.RUNTIME,
        size=Size.SMALL,
        dedicated=True,
    )
    placed = placement.activate_slot(actor=SYSTEM, org_id=org_id, slot_id=slot.id)
    return {"workspace": str(workspace_id), "host": str(placed.host_id)}


def start(org_id: UUID, workspace: str, key: str) -> dict[str, Any]:
    """Ask for a start whose setup takes a while and leaves a line each time it is run."""
    setup = Step(name="slow", command=("/bin/sh", "-c", f"sleep {SETUP_S}; echo done >> setup.log"))
    service = Service(
        name="web",
        contract_digest="0" * 64,
        account=1,
        command=("/bin/sleep", "600"),
        directory=".",
        setup=(setup,),
        limits=LIMITS,
    )
    return _want(
        org_id,
        workspace,
        key,
        lambda one: StartRuntime(workspace=one, manifest=Manifest(epoch=1, services=(service,))),
    )


def stop(org_id: UUID, workspace: str, key: str) -> dict[str, Any]:
    """Ask for a stop."""
    return _want(org_id, workspace, key, lambda one: StopRuntime(workspace=one, epoch=1))


def _want(org_id: UUID, workspace: str, key: str, payload: Callable[[Workspace], Any]) -> dict[str, Any]:
    workspace_id = UUID(workspace)
    place = files.want_files(org_id=org_id, workspace_id=workspace_id)
    slot = placement.slot_of(org_id=org_id, workspace_id=workspace_id, role=HostRole.RUNTIME)
    assert slot is not None
    assert slot.host_id is not None
    wire = Workspace(
        id=workspace_id,
        slug="drill",
        user="drill",
        uid=place.uid,
        storage=Storage(kind="directory", directory=place.place),
    )
    with tenancy.enter(org_id):
        asked = queue.want(host_id=slot.host_id, payload=payload(wire), key=key, cause="drill")
    return {"command": str(asked)}


def race(org_id: UUID, host: str) -> dict[str, Any]:
    """Take steps of a host for a while, as a second worker beside the first."""
    taken = 0
    until = timezone.now().timestamp() + 6
    while timezone.now().timestamp() < until:
        taken += reconcile(org_id, UUID(host), look=True)
    return {"taken": taken}


def state(org_id: UUID, workspace: str) -> dict[str, Any]:
    """How things stand for one workspace."""
    workspace_id = UUID(workspace)
    slot = placement.slot_of(org_id=org_id, workspace_id=workspace_id, role=HostRole.RUNTIME)
    assert slot is not None
    assert slot.host_id is not None
    with tenancy.enter(org_id):
        host = Host.objects.get(id=slot.host_id)
        volume = DataVolume.objects.get(workspace_id=workspace_id)
        rows = HostCommand.objects.filter(workspace_id=workspace_id).order_by("position")
        return {
            "ready": slot.ready,
            "slots": Slot.objects.filter(workspace_id=workspace_id).count(),
            "host": str(host.id),
            "generation": host.generation,
            "instance": host.instance_id,
            "observed": host.observed,
            "heard": host.heard_at.timestamp() if host.heard_at else 0,
            "attached": bool(host.instance_id) and volume.attached_to == host.instance_id,
            "volume": volume.volume_id,
            "commands": [
                {
                    "id": str(one.id),
                    "kind": one.kind,
                    "attempts": one.attempts,
                    "over": one.finished_at is not None,
                    "outcome": one.outcome is not None,
                    "failure": (one.failure or {}).get("word", ""),
                }
                for one in rows
            ],
        }


ACTS: dict[str, Callable[..., dict[str, Any]]] = {
    "awake": awake,
    "start": start,
    "stop": stop,
    "race": race,
    "state": state,
}

if __name__ == "__main__":
    slug, act, *words = sys.argv[1:]
    print(json.dumps(ACTS[act](UUID(str(organization_by_slug(slug))), *words)))
