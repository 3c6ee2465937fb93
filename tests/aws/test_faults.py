"""EC2's faults, each as a program meets it, and the states an instance goes through."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError

from local_cloud.aws.control_client import ControlClient, ControlRefusedError
from tests.aws.conftest import REGION, Server, allow, new_user, refusal

IMAGE = "ami-12345678"
LAUNCH: dict[str, Any] = {"ImageId": IMAGE, "MinCount": 1, "MaxCount": 1}


@pytest.fixture
def control(server: Server) -> Iterator[ControlClient]:
    client = ControlClient(server.url, server.root, REGION)
    yield client
    client.clear_faults()


def launch(server: Server, **more: Any) -> str:
    return str(server.client("ec2").run_instances(**LAUNCH, **more)["Instances"][0]["InstanceId"])


def state(server: Server, instance_id: str) -> str:
    found = server.client("ec2").describe_instances(InstanceIds=[instance_id])["Reservations"]
    return str(found[0]["Instances"][0]["State"]["Name"])


def test_no_capacity_in_a_zone_of_a_type_so_many_times(server: Server, control: ControlClient) -> None:
    control.add_fault("no_capacity", zone=f"{REGION}a", instance_type="t3.*", times=2)
    run = server.client("ec2").run_instances
    small = {**LAUNCH, "InstanceType": "t3.small"}
    here, there = ({"AvailabilityZone": f"{REGION}{letter}"} for letter in "ab")
    assert refusal(run, **small, Placement=here) == "InsufficientInstanceCapacity"
    run(**small, Placement=there)
    run(**{**small, "InstanceType": "m5.large"}, Placement=here)
    assert refusal(run, **small, Placement=here) == "InsufficientInstanceCapacity"
    run(**small, Placement=here)
    assert control.faults() == []


def test_a_subnet_names_the_zone_too(server: Server, control: ControlClient) -> None:
    ec2 = server.client("ec2")
    subnet = next(one for one in ec2.describe_subnets()["Subnets"] if one["AvailabilityZone"] == f"{REGION}b")
    control.add_fault("no_capacity", zone=f"{REGION}b")
    assert refusal(ec2.run_instances, **LAUNCH, SubnetId=subnet["SubnetId"]) == "InsufficientInstanceCapacity"


def test_a_stopped_instance_may_find_no_capacity_either(server: Server, control: ControlClient) -> None:
    one = launch(server)
    ec2 = server.client("ec2")
    ec2.stop_instances(InstanceIds=[one])
    control.add_fault("no_capacity", times=1)
    assert refusal(ec2.start_instances, InstanceIds=[one]) == "InsufficientInstanceCapacity"
    assert state(server, one) == "stopped"
    ec2.start_instances(InstanceIds=[one])
    assert state(server, one) == "running"


@pytest.mark.parametrize(
    ("service", "call", "code"),
    [
        ("ec2", "describe_instances", "RequestLimitExceeded"),
        ("ssm", "describe_parameters", "ThrottlingException"),
        ("iam", "list_roles", "Throttling"),
    ],
)
def test_throttling(server: Server, control: ControlClient, service: str, call: str, code: str) -> None:
    control.add_fault("throttle", service=service, action="Describe*", times=1)
    control.add_fault("throttle", service=service, action="List*", times=1)
    assert refusal(getattr(server.client(service), call)) == code
    getattr(server.client(service), call)()


def test_a_share_of_requests_is_throttled(server: Server, control: ControlClient) -> None:
    control.add_fault("throttle", action="DescribeVpcs", rate=0.5)
    refused = 0
    for _ in range(60):
        try:
            server.client("ec2").describe_vpcs()
        except server.client("ec2").exceptions.ClientError:
            refused += 1
    assert 5 < refused < 55


def test_a_lost_answer_has_been_done(server: Server, control: ControlClient) -> None:
    control.add_fault("lose_answer", action="RunInstances", times=1)
    wanted = {**LAUNCH, "ClientToken": "lost-1"}
    with pytest.raises(ConnectionClosedError):
        server.client("ec2").run_instances(**wanted)
    again = server.client("ec2").run_instances(**wanted)["Instances"][0]["InstanceId"]
    filters = [{"Name": "client-token", "Values": ["lost-1"]}]
    found = server.client("ec2").describe_instances(Filters=filters)["Reservations"]
    assert [one["InstanceId"] for group in found for one in group["Instances"]] == [again]


def test_a_lost_request_has_not(server: Server, control: ControlClient) -> None:
    control.add_fault("lose_request", action="RunInstances", times=1)
    with pytest.raises(ConnectionClosedError):
        server.client("ec2").run_instances(**LAUNCH, ClientToken="lost-2")
    filters = [{"Name": "client-token", "Values": ["lost-2"]}]
    assert server.client("ec2").describe_instances(Filters=filters)["Reservations"] == []


def test_the_api_is_down_for_a_while(server: Server, control: ControlClient) -> None:
    control.add_fault("down", for_s=0.6)
    with pytest.raises((ConnectionClosedError, EndpointConnectionError)):
        server.client("ec2").describe_vpcs()
    assert [one["kind"] for one in control.faults()] == ["down"]
    time.sleep(0.7)
    server.client("ec2").describe_vpcs()


def test_a_slow_boot(server: Server, control: ControlClient) -> None:
    control.add_fault("slow_boot", boot_s=0.8, times=1)
    slow, quick = launch(server), launch(server)
    assert (state(server, slow), state(server, quick)) == ("pending", "running")
    assert refusal(server.client("ec2").stop_instances, InstanceIds=[slow]) == "IncorrectInstanceState"
    time.sleep(0.9)
    assert state(server, slow) == "running"


def test_a_fault_about_one_organization_meets_no_other(server: Server, control: ControlClient) -> None:
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "envforge:org", "Value": "acme-1"}]}]
    one, other = launch(server, TagSpecifications=tags), launch(server)
    control.add_fault("throttle", about="acme-1")
    ec2 = server.client("ec2")
    assert refusal(ec2.run_instances, **LAUNCH, TagSpecifications=tags) == "RequestLimitExceeded"
    assert refusal(ec2.stop_instances, InstanceIds=[one]) == "RequestLimitExceeded"
    filters = [{"Name": "tag:envforge:org", "Values": ["acme-1"]}]
    assert refusal(ec2.describe_instances, Filters=filters) == "RequestLimitExceeded"
    ec2.stop_instances(InstanceIds=[other])


def test_acts_from_outside(server: Server, control: ControlClient) -> None:
    one, two, three = launch(server), launch(server), launch(server)
    control.act("stop", one)
    control.act("reclaim", two)
    control.act("vanish", three)
    ec2 = server.client("ec2")
    assert (state(server, one), state(server, two)) == ("stopped", "terminated")
    assert refusal(ec2.describe_instances, InstanceIds=[three]) == "InvalidInstanceID.NotFound"
    reason = ec2.describe_instances(InstanceIds=[two])["Reservations"][0]["Instances"][0]["StateReason"][
        "Code"
    ]
    assert reason == "Server.SpotInstanceTermination"
    with pytest.raises(ControlRefusedError, match="stopped"):
        control.act("stop", one)
    with pytest.raises(ControlRefusedError, match="no instance"):
        control.act("stop", three)


def test_impaired_checks(server: Server, control: ControlClient) -> None:
    one, other = launch(server), launch(server)
    control.act("impair", one)
    ec2 = server.client("ec2")
    filters = [{"Name": "instance-status.status", "Values": ["impaired"]}]
    found = ec2.describe_instance_status(Filters=filters)["InstanceStatuses"]
    assert [each["InstanceId"] for each in found] == [one]
    assert found[0]["InstanceStatus"]["Details"][0]["Status"] == "failed"
    assert (
        ec2.describe_instance_status(InstanceIds=[other])["InstanceStatuses"][0]["InstanceStatus"]["Status"]
        == "ok"
    )
    control.act("heal", one)
    assert ec2.describe_instance_status(Filters=filters)["InstanceStatuses"] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "earthquake"},
        {"kind": "throttle", "rate": 2},
        {"kind": "throttle", "times": 0},
        {"kind": "slow_boot"},
        {"kind": "down"},
        {"kind": "throttle", "zones": "a"},
    ],
)
def test_a_fault_that_cannot_be_is_refused(control: ControlClient, wrong: dict[str, Any]) -> None:
    with pytest.raises(ControlRefusedError):
        control.add_fault(**wrong)
    assert control.faults() == []


def test_only_root_may_switch_faults(server: Server) -> None:
    key = new_user(server, "saboteur", allow("*"))
    with pytest.raises(ControlRefusedError, match="root"):
        ControlClient(server.url, key, REGION).add_fault("throttle")


def test_faults_states_and_addresses_outlive_the_process(own_server: Server) -> None:
    control = ControlClient(own_server.url, own_server.root, REGION)
    control.add_fault("throttle", action="DescribeVpcs", times=2)
    assert refusal(own_server.client("ec2").describe_vpcs) == "RequestLimitExceeded"
    control.add_fault("slow_boot", boot_s=3600)
    one = launch(own_server)
    two = control.instances()[1]
    own_server.end()
    own_server.start()
    assert state(own_server, one) == "pending"
    assert refusal(own_server.client("ec2").describe_vpcs) == "RequestLimitExceeded"
    own_server.client("ec2").describe_vpcs()
    assert control.instances()[1] == two


def test_every_state_is_seen_on_the_way(tmp_path: Any) -> None:
    server = Server(
        tmp_path / "state",
        tmp_path / "log",
        options=("--boot-s", "0.5", "--stop-s", "0.5", "--terminate-s", "0.5"),
    )
    server.start()
    try:
        ec2 = server.client("ec2")
        made = ec2.run_instances(**LAUNCH)["Instances"][0]
        one = made["InstanceId"]
        seen = [made["State"]["Name"]]

        def until(last: str) -> None:
            deadline = time.monotonic() + 10
            while seen[-1] != last:
                assert time.monotonic() < deadline, seen
                now = state(server, one)
                seen.extend([now] if now != seen[-1] else [])

        until("running")
        ec2.stop_instances(InstanceIds=[one])
        assert refusal(ec2.start_instances, InstanceIds=[one]) == "IncorrectInstanceState"
        until("stopped")
        ec2.stop_instances(InstanceIds=[one])
        assert state(server, one) == "stopped"
        ec2.start_instances(InstanceIds=[one])
        until("running")
        ec2.start_instances(InstanceIds=[one])
        assert state(server, one) == "running"
        ec2.terminate_instances(InstanceIds=[one])
        until("terminated")
        expected = [
            "pending",
            "running",
            "stopping",
            "stopped",
            "pending",
            "running",
            "shutting-down",
            "terminated",
        ]
        assert seen == expected
    finally:
        server.end()


def test_an_answer_is_held_until_it_is_let_go(server: Server, control: ControlClient) -> None:
    """What was asked is done long before its answer comes, and nobody else waits meanwhile."""
    fault = control.add_fault("hold_answer", action="RunInstances", for_s=60)
    before = {one["instance_id"] for one in control.instances()[1] or ()}
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(launch, server)
        while not (made := {one["instance_id"] for one in control.instances()[1] or ()} - before):
            time.sleep(0.02)
        assert not asked.done()
        assert state(server, *made)
        control.clear_faults(fault)
        assert {asked.result(timeout=10)} == made
