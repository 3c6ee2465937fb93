"""One VM's life, against the local cloud's EC2: asked for, running, joined, idle, stopped, started, ended (V4)."""

import base64
import json
from pathlib import Path
from typing import Any

from django.conf import settings

from envforge.actor import SYSTEM
from envforge_daemon.config import load
from hosts import operations
from hosts.changes import Change, HostChange
from hosts.ec2 import INGRESS_PORTS
from hosts.models import HostRole, Observed, Power, Size
from hosts.user_data import HOST_FILE, user_data
from local_cloud.vms import user_data as cloud_config
from tests.product.hosts.conftest import Clock
from tests.product.hosts.fleet import Fleet


def test_v4_a_claim_becomes_a_vm_that_joins_sleeps_wakes_and_ends(
    fleet: Fleet, clock: Clock, told: list[HostChange]
) -> None:
    slot = fleet.awake()
    assert not slot.ready
    host = fleet.step(fleet.host(), 3)
    assert host.observed == Observed.RUNNING
    assert host.instance_id
    assert not fleet.wake(slot).ready
    fleet.join(host)
    assert fleet.wake(slot).ready

    fleet.sleep(slot)
    clock.pass_(minutes=6)
    host = fleet.step(host, 3)
    assert (host.wanted, host.observed) == (Power.STOPPED, Observed.STOPPED)
    assert [one["State"]["Name"] for one in fleet.instances(host)] == ["stopped"]

    woken = fleet.wake(slot)
    assert (woken.host_id, woken.generation) == (host.id, 1)
    host = fleet.step(host, 3)
    assert host.observed == Observed.RUNNING
    assert not fleet.wake(slot).ready, "the daemon of this start has not joined"
    fleet.join(host)
    assert fleet.wake(slot).ready

    fleet.sleep(slot)
    clock.pass_(minutes=6)
    fleet.step(host, 3)
    clock.pass_(days=4)
    host = fleet.step(host, 3)
    assert (host.wanted, host.observed, host.due_at) == (Power.ENDED, Observed.ENDED, None)
    assert fleet.instances(host) == []
    assert all(one.ended_at for one in fleet.placements())
    assert [one.change for one in told] == [
        *(Change.READY, Change.LEAVING, Change.AWAY),
        *(Change.READY, Change.LEAVING, Change.AWAY),
        *(Change.LEAVING, Change.ENDED),
    ]
    assert told[0].slot_ids == (slot.id,)
    for kind, count in (
        *(("host.requested", 1), ("host.started", 2), ("host.stopped", 2), ("host.ended", 1)),
        *(("placement.made", 1), ("placement.ended", 1)),
    ):
        assert len(fleet.events(kind)) == count, kind


def test_v4_an_instance_is_tagged_closed_and_says_no_secret(fleet: Fleet) -> None:
    fleet.awake(size=Size.MEDIUM)
    host = fleet.step(fleet.host(), 2)
    [instance] = fleet.instances(host)
    tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
    assert tags["envforge:org"] == str(fleet.org_id)
    assert tags["envforge:host"] == str(host.id)
    assert tags["envforge:generation"] == "1"
    assert tags["envforge:role"] == "runtime"
    assert "acme" not in json.dumps(tags).lower()
    assert instance["IamInstanceProfile"]["Arn"].endswith("instance-profile/envforge-host")
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    assert instance["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    [group] = instance["SecurityGroups"]
    assert group["GroupName"] == f"envforge-{fleet.org_id}"


def test_what_a_vm_is_told_is_what_its_program_reads(fleet: Fleet, tmp_path: Path) -> None:
    """The file that cloud-init writes is one that the VM's program can start with, and holds no secret."""
    fleet.awake()
    told = cloud_config.read(base64.b64encode(user_data(fleet.host(), "2026.11.1").encode()).decode())
    assert told.starts_daemon
    assert told.ignored == ()
    file = told.file(HOST_FILE)
    assert file
    written = tmp_path / "host.json"
    written.write_bytes(file.content)
    config = load(written)
    assert (config.host_id, config.generation, config.role) == (fleet.host().id, 1, "runtime")
    assert (config.ports.first, config.ports.last) == INGRESS_PORTS
    assert config.control_plane == settings.HOST_API_URL
    assert config.listen_address
    assert set(json.loads(file.content)) == {
        *("control_plane", "host_id", "generation", "role", "region", "image", "ports", "gateway_addresses")
    }


def test_an_operator_asks_stops_starts_and_ends(fleet: Fleet, clock: Clock) -> None:
    host_id = operations.request_host(
        actor=SYSTEM, org_id=fleet.org_id, role=HostRole.RUNTIME, size=Size.SMALL
    )
    host = fleet.up(fleet.host())
    assert (host.id, host.observed) == (host_id, Observed.RUNNING)
    named: Any = {"actor": SYSTEM, "org_id": fleet.org_id, "host_id": host_id}
    operations.stop_host(**named)
    assert fleet.step(host, 2).observed == Observed.STOPPED
    operations.start_host(**named)
    assert fleet.step(host, 2).observed == Observed.RUNNING
    operations.end_host(**named)
    assert fleet.step(host, 2).observed == Observed.ENDED
