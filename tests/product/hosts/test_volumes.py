"""Volumes for managed data: in one zone, attached before anything starts, gone from a VM only when nothing uses them (DESIGN 6)."""

import json
import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import ClientError
from django.conf import settings
from django.core.management import call_command

from envforge import aws, tenancy
from envforge_protocol.host.commands import StartRuntime
from envforge_protocol.host.runtimes import Manifest
from hosts import adrift, ebs, ec2, reconcile, volumes
from hosts.ebs import VOLUME_TAG
from hosts.models import DataVolume, Host, Orphan
from hosts.placement import SlotView
from hosts.volumes import VolumeView
from tests.product.host_api.conftest import address
from tests.product.host_api.machines import Daemon, run, stop, want
from tests.product.host_api.machines import workspace as any_workspace
from tests.product.hosts.conftest import Clock
from tests.product.hosts.fleet import Fleet
from tests.product.world import World

__all__ = ["address"]  # a fixture


def row(fleet: Fleet, slot: SlotView) -> DataVolume:
    with tenancy.enter(fleet.org_id):
        return DataVolume.objects.get(workspace_id=slot.workspace_id)


def ask(fleet: Fleet, slot: SlotView) -> VolumeView:
    return volumes.want_volume(org_id=fleet.org_id, workspace_id=slot.workspace_id)


def settled(fleet: Fleet, slot: SlotView, steps: int = 6) -> DataVolume:
    """Take steps until none is due within a minute."""
    for _ in range(steps):
        current = row(fleet, slot)
        if current.due_at is None:
            return current
        fleet.clock.ahead += max(current.due_at - fleet.clock.now(), fleet.clock.ahead * 0)
        volumes.settle(fleet.org_id, current.id)
    return row(fleet, slot)


def of(fleet: Fleet) -> list[dict[str, Any]]:
    """The organization's volumes for data, as EC2 has them."""
    filters = [
        {"Name": "tag:envforge:org", "Values": [str(fleet.org_id)]},
        {"Name": "tag-key", "Values": [VOLUME_TAG]},
    ]
    return list(aws.client("ec2").describe_volumes(Filters=filters)["Volumes"])


def awake(fleet: Fleet, label: str = "feature", **options: Any) -> tuple[SlotView, Host]:
    """A workspace with a volume on a VM that works."""
    slot = fleet.awake(label, **options)
    ask(fleet, slot)
    host = fleet.host(slot)
    return slot, fleet.up(host) if host.joined_at is None else host


def workspace(slot: SlotView) -> Any:
    return any_workspace().model_copy(update={"id": slot.workspace_id})


def start(slot: SlotView) -> StartRuntime:
    return StartRuntime(workspace=workspace(slot), manifest=Manifest(epoch=1, services=()))


def test_it_is_made_encrypted_where_the_vm_is_and_attached_to_it(fleet: Fleet) -> None:
    slot = fleet.awake()
    assert not ask(fleet, slot).exists
    assert settled(fleet, slot).volume_id == "", "nobody knows yet in which zone"
    host = fleet.up(fleet.host(slot))
    found = settled(fleet, slot)
    [volume] = of(fleet)
    assert (volume["VolumeId"], volume["Encrypted"], volume["AvailabilityZone"]) == (
        found.volume_id,
        True,
        host.zone,
    )
    assert volume["Attachments"][0]["InstanceId"] == found.attached_to == host.instance_id
    assert ask(fleet, slot).attached
    assert found.due_at is None


def test_nothing_starts_before_it_is_attached_and_the_command_names_it(
    fleet: Fleet, address: str, clock: Clock
) -> None:
    slot, host = awake(fleet)
    daemon = Daemon(address, host)
    want(host, start(slot))
    other = want(host, run(any_workspace()))
    assert [one.id for one in daemon.poll()] == [other], "whoever has no volume waits for none"
    found = settled(fleet, slot)
    [leased] = daemon.poll()
    assert leased.payload.kind == "start_runtime"
    assert leased.payload.workspace.data is not None
    assert leased.payload.workspace.data.id == found.volume_id
    assert row(fleet, slot).in_use


def test_it_leaves_a_running_vm_only_when_services_were_stopped(fleet: Fleet, address: str) -> None:
    slot, host = awake(fleet)
    settled(fleet, slot)
    daemon = Daemon(address, host)
    want(host, start(slot))
    [started] = daemon.poll()
    fleet.sleep(slot)
    assert settled(fleet, slot).attached_to == host.instance_id
    want(host, stop(workspace(slot)))
    assert daemon.done(started, readiness={"epoch": 1, "services": [], "ready_ms": 1}).status_code == 204
    [stopped] = daemon.poll()
    assert stopped.payload.workspace.data is not None  # type: ignore[union-attr]
    assert daemon.done(stopped).status_code == 204
    assert settled(fleet, slot).attached_to == ""
    assert [one["Attachments"] for one in of(fleet)] == [[]]


def test_another_vm_of_its_zone_gets_it_with_what_is_on_it(fleet: Fleet) -> None:
    slot, first = awake(fleet)
    before = settled(fleet, slot)
    fleet.ec2.terminate_instances(InstanceIds=[first.instance_id])
    reconcile.reconcile(fleet.org_id, first.id, look=True)
    second = fleet.step(first, 4)
    assert second.generation == 2
    fleet.join(fleet.step(second, 4))
    assert len(of(fleet)) == 1, "it survives the instance"
    after = settled(fleet, slot)
    second = fleet.fresh(second)
    assert second.instance_id not in {"", first.instance_id}
    assert (after.volume_id, after.attached_to) == (before.volume_id, second.instance_id)
    assert second.zone == before.zone


def test_placement_keeps_a_workspace_in_the_zone_of_its_volume(fleet: Fleet) -> None:
    """The only room is on a VM of another zone: a new VM is made in the right one."""
    slot, host = awake(fleet)
    settled(fleet, slot)
    fleet.sleep(slot)
    settled(fleet, slot)
    with tenancy.enter(fleet.org_id):
        Host.objects.filter(id=host.id).update(zone="eu-central-1z")
    moved = fleet.wake(slot)
    assert moved.host_id != host.id
    newer = fleet.up(fleet.host(slot))
    assert newer.zone == row(fleet, slot).zone
    assert settled(fleet, slot).attached_to == newer.instance_id


@pytest.mark.parametrize("times", range(3))
def test_a_new_vm_begins_in_the_zone_that_is_needed_whichever_that_is(fleet: Fleet, times: int) -> None:
    slot = fleet.awake("one", dedicated=True)
    zone = ebs_zone(times)
    ask(fleet, slot)
    with tenancy.enter(fleet.org_id):
        DataVolume.objects.filter(workspace_id=slot.workspace_id).update(zone=zone)
    assert fleet.step(fleet.host(slot), 3).zone == zone


def ebs_zone(number: int) -> str:
    return ec2.zone_of_subnet(settings.HOST_SUBNETS[number])


def test_neighbours_have_devices_of_their_own(fleet: Fleet) -> None:
    slots = [awake(fleet, f"w{number}")[0] for number in range(4)]
    devices = {settled(fleet, slot, 12).device for slot in slots}
    assert len(devices) == 4
    assert len({row(fleet, slot).attached_to for slot in slots}) == 1


def test_w11_a_volume_that_was_made_and_not_recorded_is_found(fleet: Fleet) -> None:
    slot, host = awake(fleet)
    asked = row(fleet, slot)
    made = ebs.create(
        row_id=asked.id,
        org_id=fleet.org_id,
        workspace_id=slot.workspace_id,
        zone=host.zone,
        size_gib=asked.size_gib,
    )
    assert settled(fleet, slot).volume_id == made.volume_id
    assert len(of(fleet)) == 1


def test_w12_a_dropped_one_is_deleted_when_nothing_uses_it(fleet: Fleet) -> None:
    slot, _ = awake(fleet)
    settled(fleet, slot)
    volumes.drop_volume(org_id=fleet.org_id, workspace_id=slot.workspace_id)
    assert settled(fleet, slot).removed_at is not None
    assert of(fleet) == []
    assert volumes.volume_of(org_id=fleet.org_id, workspace_id=slot.workspace_id) is None


def test_lost_data_are_not_replaced_by_an_empty_disk(fleet: Fleet) -> None:
    slot, _ = awake(fleet)
    before = settled(fleet, slot)
    root("ec2").detach_volume(VolumeId=before.volume_id)
    root("ec2").delete_volume(VolumeId=before.volume_id)
    with tenancy.enter(fleet.org_id):
        volumes.follow([slot.workspace_id])
    volumes.settle(fleet.org_id, before.id)
    assert row(fleet, slot).trouble == "data_lost"
    assert of(fleet) == []


def root(service: str) -> Any:
    key = json.loads(Path(os.environ["ENVFORGE_TEST_AWS_ROOT_KEY_FILE"]).read_text())
    connect: Any = boto3.client
    return connect(
        service,
        endpoint_url=settings.AWS_ENDPOINT_URL,
        region_name=settings.AWS_REGION,
        aws_access_key_id=key["access_key_id"],
        aws_secret_access_key=key["secret_access_key"],
    )


def test_what_nobody_has_is_listed_and_what_differs_is_put_right(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    slot, host = awake(fleet)
    settled(fleet, slot)
    nobodys = ebs.create(
        row_id=uuid4(), org_id=fleet.org_id, workspace_id=uuid4(), zone=host.zone, size_gib=1
    )
    root("ec2").detach_volume(VolumeId=row(fleet, slot).volume_id)
    adrift.compare()
    assert Orphan.objects.filter(instance_id=nobodys.volume_id).exists()
    assert row(fleet, slot).due_at is not None
    assert settled(fleet, slot).attached_to == host.instance_id
    call_command("orphans", end=nobodys.volume_id)
    assert nobodys.volume_id in capsys.readouterr().out
    assert not Orphan.objects.filter(instance_id=nobodys.volume_id).exists()
    assert [one["VolumeId"] for one in of(fleet)] == [row(fleet, slot).volume_id]


def test_v1_a_volume_is_of_one_organization(fleet: Fleet, world: World) -> None:
    """V1: another organization has no such volume, and the control plane cannot make one without an organization or in clear."""
    slot, _ = awake(fleet)
    settled(fleet, slot)
    assert volumes.volume_of(org_id=world.mallet.id, workspace_id=slot.workspace_id) is None
    client = aws.client("ec2")
    for refused in ({"Encrypted": True}, {"Encrypted": False, "TagSpecifications": tags(world)}):
        with pytest.raises(ClientError, match="not authorized|UnauthorizedOperation"):
            client.create_volume(AvailabilityZone="eu-central-1a", Size=1, **refused)


def tags(world: World) -> list[dict[str, Any]]:
    pairs = {"envforge:org": str(world.acme.id), VOLUME_TAG: str(uuid4())}
    return [
        {
            "ResourceType": "volume",
            "Tags": [{"Key": key, "Value": value} for key, value in pairs.items()],
        }
    ]
