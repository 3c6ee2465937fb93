"""EC2's expected failures, each ending in the wanted state with one VM (W11), against the local endpoint with its faults."""

import json
import os
import threading
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection

from audit.models import Event
from envforge import tenancy
from envforge.actor import SYSTEM
from hosts import changes, operations, reconcile, wants
from hosts import fleet as sweeping
from hosts.changes import Change, HostChange
from hosts.models import Host, HostRole, Mend, Observed, Orphan, Power, Size
from local_cloud.aws.control_client import ControlClient
from local_cloud.aws.identities import AccessKey
from tests.product.hosts.conftest import Clock
from tests.product.hosts.fleet import Fleet
from tests.product.world import World


@pytest.fixture
def control(fleet: Fleet) -> Iterator[ControlClient]:
    root = AccessKey(**json.loads(Path(os.environ["ENVFORGE_TEST_AWS_ROOT_KEY_FILE"]).read_text()))
    door = ControlClient(settings.AWS_ENDPOINT_URL or "", root, settings.AWS_REGION)
    yield door
    for fault in door.faults():
        if fault["about"] == str(fleet.org_id):
            door.clear_faults(fault["id"])


class Killed(BaseException):
    """The worker ends here; nothing after this line happens."""


def the_one(fleet: Fleet, host: Host) -> str:
    """The one living instance of a host, which its row names."""
    [instance] = fleet.instances(host)
    assert fleet.fresh(host).instance_id == instance["InstanceId"]
    return str(instance["InstanceId"])


def test_w11_a_worker_killed_between_running_and_recording(
    fleet: Fleet, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.awake()
    host = fleet.host()

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(reconcile, "_record", killed)
        with pytest.raises(Killed):
            reconcile.reconcile(fleet.org_id, host.id)
    assert fleet.fresh(host).instance_id == ""
    assert len(fleet.instances(host)) == 1
    assert reconcile.reconcile(fleet.org_id, host.id) == 0, "the lease of the dead still stands"
    clock.pass_(seconds=91)
    fleet.step(host, 3)
    the_one(fleet, host)


def test_w11_the_answer_of_run_instances_is_lost(fleet: Fleet, control: ControlClient) -> None:
    # The SDK asks once and three times more by itself, with the same token.
    control.add_fault("lose_answer", action="RunInstances", about=str(fleet.org_id), times=4)
    fleet.awake()
    host = fleet.step(fleet.host())
    assert (host.instance_id, host.trouble) == ("", "unanswered")
    host = fleet.step(host, 3)
    assert host.observed == Observed.RUNNING
    the_one(fleet, host)


def test_w11_a_lost_answer_and_then_unwanted_leaves_no_vm(
    fleet: Fleet, clock: Clock, control: ControlClient
) -> None:
    control.add_fault("lose_answer", action="RunInstances", about=str(fleet.org_id), times=4)
    slot = fleet.awake()
    host = fleet.step(fleet.host())
    fleet.release(slot)
    operations.end_host(actor=SYSTEM, org_id=fleet.org_id, host_id=host.id)
    host = fleet.step(host, 4)
    assert host.observed == Observed.ENDED
    assert fleet.instances(host) == []


def test_w11_no_capacity_then_the_next_zone_and_type(fleet: Fleet, control: ControlClient) -> None:
    types = settings.HOST_TYPES["large"]
    control.add_fault("no_capacity", about=str(fleet.org_id), instance_type=types[0])
    slot = fleet.awake()
    host = fleet.step(fleet.host(), 2)
    [instance] = fleet.instances(host)
    assert instance["InstanceType"] == types[1]
    assert host.option == len(settings.HOST_SUBNETS)
    assert slot.host_id == host.id


def test_w11_no_capacity_anywhere_waits_with_words_and_goes_on(fleet: Fleet, control: ControlClient) -> None:
    fault = control.add_fault("no_capacity", about=str(fleet.org_id))
    slot = fleet.awake()
    host = fleet.step(fleet.host(), 2)
    assert (host.trouble, host.instance_id) == ("capacity", "")
    assert fleet.wake(slot).trouble == "capacity"
    assert host.due_at is not None
    assert host.due_at > fleet.clock.now()
    control.clear_faults(fault)
    host = fleet.step(host, 3)
    assert (host.observed, host.trouble) == (Observed.RUNNING, "")
    the_one(fleet, host)


def test_w11_throttling_is_waited_out(fleet: Fleet, control: ControlClient) -> None:
    control.add_fault("throttle", action="RunInstances", about=str(fleet.org_id), times=6)
    fleet.awake()
    host = fleet.step(fleet.host())
    assert (host.trouble, host.attempts) == ("throttled", 1)
    first = host.due_at
    host = fleet.step(host)
    assert host.attempts == 2
    assert host.due_at != first
    assert fleet.step(host, 3).observed == Observed.RUNNING
    the_one(fleet, host)


def test_w11_a_vanished_vm_is_replaced_and_its_slots_move_on(
    fleet: Fleet, control: ControlClient, told: list[HostChange]
) -> None:
    slot = fleet.awake()
    host = fleet.up(fleet.host())
    first = the_one(fleet, host)
    control.act("vanish", first)
    reconcile.reconcile(fleet.org_id, host.id, look=True)
    host = fleet.step(host, 3)
    assert (host.generation, host.observed) == (2, Observed.RUNNING)
    assert the_one(fleet, host) != first
    assert fleet.wake(slot).generation == 2
    assert [(one.generation, one.ended_at is None) for one in fleet.placements()] == [(1, False), (2, True)]
    assert [one.change for one in told] == [Change.READY, Change.AWAY, Change.REPLACED]
    [replaced] = fleet.events("host.replaced")
    assert replaced.facts == {"role": "runtime", "cause": "vanished", "generation": 2}


def test_w11_two_workers_at_one_host_make_one_vm(fleet: Fleet) -> None:
    fleet.awake()
    host = fleet.host()
    taken: list[int] = []
    barrier = threading.Barrier(6)

    def work() -> None:
        barrier.wait()
        try:
            taken.append(reconcile.reconcile(fleet.org_id, host.id))
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(taken) == 6
    assert sum(taken) == 1
    the_one(fleet, host)


def test_w11_two_workers_without_the_lease_still_make_one_vm(fleet: Fleet) -> None:
    """The lease ran out under a slow worker: tag and token hold."""
    fleet.awake()
    host = fleet.host()
    with tenancy.enter(fleet.org_id):
        slow = reconcile._lease(host.id, look=True)
        Host.objects.filter(id=host.id).update(leased_until=None)
        quick = reconcile._lease(host.id, look=True)
    assert slow
    assert quick
    outcomes: list[reconcile.Outcome] = []

    def work(one: Host) -> None:
        try:
            outcomes.append(reconcile._carry_out(one))
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=[one]) for one in (slow, quick)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, outcome in zip((slow, quick), outcomes, strict=True):
        with tenancy.enter(fleet.org_id):
            reconcile._record(one, outcome)
    fleet.step(host, 2)
    the_one(fleet, host)


def test_w11_an_emptied_broker_costs_time_only(fleet: Fleet) -> None:
    """No nudge is taken here at all: the sweep finds what is due."""
    fleet.awake()
    reconcile.sweep()
    host = fleet.host()
    the_one(fleet, host)


def test_a_vm_that_never_joins_is_replaced_ever_more_slowly(fleet: Fleet, clock: Clock) -> None:
    fleet.awake()
    host = fleet.step(fleet.host(), 2)
    waits = []
    for generation in range(2, 8):
        clock.pass_(minutes=11)
        while fleet.fresh(host).generation < generation:
            fleet.step(host)
        host = fleet.fresh(host)
        assert host.due_at is not None
        waits.append(round((host.due_at - clock.now()).total_seconds() / 60))
        clock.ahead += max(host.due_at - clock.now(), timedelta(0))
        host = fleet.step(host, 2)
        assert host.observed == Observed.RUNNING
        assert len(fleet.instances(host)) == 1
    assert waits == [0, 1, 2, 4, 60, 60]


def test_h6_a_silent_vm_is_started_again_once_and_then_replaced(
    fleet: Fleet, clock: Clock, told: list[HostChange]
) -> None:
    fleet.awake()
    host = fleet.up(fleet.host())
    fleet.hear(host)
    heard_at = fleet.fresh(host).heard_at
    clock.pass_(minutes=4)
    reconcile.sweep()
    assert fleet.fresh(host).mend == Mend.NOTHING
    clock.pass_(minutes=2)
    reconcile.sweep()
    assert Observed(fleet.fresh(host).observed) in {Observed.STOPPING, Observed.STOPPED}
    # The sweep is everybody's: other tests' VMs have fallen silent as well.
    [silent] = [one for one in told if one.change is Change.SILENT and one.host_id == host.id]
    assert silent.heard_at == heard_at
    assert silent.running_at is not None
    assert silent.slot_ids
    host = fleet.step(host, 3)
    assert (host.generation, host.observed, host.mend) == (1, Observed.RUNNING, Mend.NOTHING)
    host = fleet.join(host)
    clock.pass_(minutes=6)
    reconcile.sweep()
    host = fleet.step(host, 4)
    assert (host.generation, host.observed) == (2, Observed.RUNNING)
    the_one(fleet, host)
    assert [event.facts["cause"] for event in fleet.events("host.stopped")] == ["silent"]


def test_a_vm_whose_checks_fail_is_replaced(fleet: Fleet, control: ControlClient) -> None:
    fleet.awake()
    host = fleet.up(fleet.host())
    first = the_one(fleet, host)
    control.act("impair", first)
    sweeping.compare()
    host = fleet.step(host, 4)
    assert (host.generation, host.observed) == (2, Observed.RUNNING)
    assert the_one(fleet, host) != first


def test_g2_a_vm_is_ended_only_when_every_holder_lets_go(
    fleet: Fleet, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    led_there = {"routes": True}
    monkeypatch.setitem(changes._holders, "routes", lambda _: not led_there["routes"])
    slot = fleet.awake()
    host = fleet.up(fleet.host())
    fleet.sleep(slot)
    clock.pass_(minutes=6)
    host = fleet.step(host, 5)
    assert (host.wanted, host.observed, host.trouble) == (Power.STOPPED, Observed.RUNNING, "holders")
    led_there["routes"] = False
    assert fleet.step(host, 3).observed == Observed.STOPPED
    led_there["routes"] = True
    operations.end_host(actor=SYSTEM, org_id=fleet.org_id, host_id=host.id)
    assert fleet.step(host, 3).observed == Observed.STOPPED
    led_there["routes"] = False
    assert fleet.step(host, 3).observed == Observed.ENDED


def test_the_fleets_sweep_finds_what_changed_outside(fleet: Fleet, control: ControlClient) -> None:
    fleet.awake()
    host = fleet.up(fleet.host())
    sweeping.compare()
    assert fleet.fresh(host).due_at is None
    control.act("stop", the_one(fleet, host))
    sweeping.compare()
    assert fleet.fresh(host).due_at is not None
    host = fleet.step(host, 3)
    assert host.observed == Observed.RUNNING
    assert [event.facts["cause"] for event in fleet.events("host.stopped")] == ["outside"]
    sweeping.compare()
    control.act("vanish", the_one(fleet, host))
    sweeping.compare()
    assert fleet.fresh(host).due_at is not None
    assert fleet.step(host, 3).generation == 2


def test_instances_that_nobody_owns_are_listed_and_left_alone(fleet: Fleet, world: World) -> None:
    operations.request_host(actor=SYSTEM, org_id=fleet.org_id, role=HostRole.RUNTIME, size=Size.SMALL)
    host = fleet.up(fleet.host())
    tags = fleet.instances(host)[0]["Tags"]
    stray = {**{tag["Key"]: tag["Value"] for tag in tags}, "envforge:org": str(world.mallet.id)}
    made = fleet.ec2.run_instances(
        ImageId=settings.HOST_IMAGE,
        InstanceType="t3.medium",
        MinCount=1,
        MaxCount=1,
        NetworkInterfaces=[
            {
                "DeviceIndex": 0,
                "SubnetId": settings.HOST_SUBNETS[0],
                "Groups": [fleet.instances(host)[0]["SecurityGroups"][0]["GroupId"]],
            }
        ],
        TagSpecifications=[
            {
                "ResourceType": "instance",
                "Tags": [{"Key": key, "Value": value} for key, value in stray.items()],
            },
            {
                "ResourceType": "volume",
                "Tags": [{"Key": key, "Value": value} for key, value in stray.items()],
            },
            {
                "ResourceType": "network-interface",
                "Tags": [{"Key": key, "Value": value} for key, value in stray.items()],
            },
        ],
    )["Instances"][0]["InstanceId"]
    sweeping.compare()
    found = Orphan.objects.get(instance_id=made)
    assert (found.tagged_org, found.tagged_host) == (str(world.mallet.id), str(host.id))
    assert not Orphan.objects.filter(instance_id=host.instance_id).exists()
    states = [one["State"]["Name"] for one in fleet.instances(host) if one["InstanceId"] == made]
    assert states == ["running"]
    with pytest.raises(CommandError, match="none of those"):
        call_command("orphans", end=host.instance_id)
    said = StringIO()
    call_command("orphans", end=made, stdout=said)
    assert f"{made} ends." in said.getvalue()
    assert not Orphan.objects.filter(instance_id=made).exists()
    assert [one["InstanceId"] for one in fleet.instances(host)] == [host.instance_id]
    with tenancy.enter(tenancy.PLATFORM):
        assert Event.objects.filter(kind="host.orphan_ended", target_id=made).count() == 1
    sweeping.compare()
    assert not Orphan.objects.filter(instance_id=made).exists()


def test_w11_a_step_that_was_overtaken_ends_nothing_of_a_later_generation(fleet: Fleet) -> None:
    """A worker that stood still for longer than its lease looks for what it knew; meanwhile the VM was replaced."""
    overtaken = fleet.host(fleet.awake())
    with tenancy.enter(fleet.org_id):
        Host.objects.filter(id=overtaken.id).update(generation=2)
    fleet.step(overtaken, 2)
    assert reconcile._find(overtaken) is None
    assert len(fleet.instances(overtaken)) == 1


def test_w11_whoever_was_on_a_vm_that_was_ended_is_placed_anew(fleet: Fleet) -> None:
    """W11: a slot that stays active is on no VM once its own was ended; activated again, it gets another one."""
    slot = fleet.awake()
    host = fleet.up(fleet.host())
    with tenancy.enter(fleet.org_id):
        locked = Host.objects.select_for_update().get(id=host.id)
        wants.want(locked, Power.ENDED, cause="test", now=fleet.clock.now())
    assert fleet.step(host, 3).observed == Observed.ENDED
    again = fleet.wake(slot)
    assert again.active
    assert again.host_id not in {None, host.id}
    assert fleet.wake(slot).host_id == again.host_id
