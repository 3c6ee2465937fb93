"""A VM does what EC2 says of its instance, and leaves nothing behind."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from local_cloud.processes import PROC, is_running
from local_cloud.vms import tampering, traces
from local_cloud.vms.machines import Kind, Machine, machines, remove_all
from tests.local_cloud.vms.conftest import Cloud, cloud_config
from tests.vms import eventually


def processes(machine: Machine) -> set[int]:
    """The numbers of all processes of a VM, its init included."""
    assert machine.record is not None
    return {machine.record.pid, *(one.pid for one in traces.descendants(machine.record.pid))}


def alive(numbers: set[int]) -> set[int]:
    return {number for number in numbers if is_running(number)}


def whole(machine: Machine) -> set[int]:
    """As `processes`, once the stand-in has started both of its stubborn companions and their sleeps."""
    return set(eventually(lambda: found if len(found := processes(machine)) >= 4 else None, "no companions"))


def test_an_instance_gets_a_vm_at_its_address(cloud: Cloud) -> None:
    one = cloud.launch()
    seen = cloud.seen(one)
    described = cloud.described(one)
    assert described["State"]["Name"] == "running"
    assert seen["instance_id"] == one
    assert seen["config"]["listen_address"] == described["PrivateIpAddress"]
    assert described["PrivateIpAddress"].startswith("127.")
    assert seen["config"]["metadata_endpoint"] == f"http://{described['PrivateIpAddress']}:1338"
    assert seen["config"]["generation"] == 1


def test_the_daemon_knows_nothing_of_the_local_cloud(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """H1: the daemon's environment is made for it, whatever stands in ours."""
    seen = cloud.seen(cloud.launch())
    assert set(seen["environment"]) <= {
        *("PATH", "HOME", "LANG", "PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "LC_CTYPE"),
    }


@pytest.mark.parametrize("way", ["stop", "terminate", "vanish", "reclaim"])
def test_nothing_of_a_vm_survives_its_instance(cloud: Cloud, way: str) -> None:
    """H5: what ends a VM is EC2, and it ends all of it, whatever its processes do about it."""
    one = cloud.launch()
    first = cloud.seen(one)
    numbers = whole(cloud.vms.wait_on(one))
    if way in {"vanish", "reclaim"}:
        cloud.vms.client.act(way, one)
    else:
        getattr(cloud.ec2, f"{way}_instances")(InstanceIds=[one])
    eventually(lambda: not alive(numbers), f"still there: {alive(numbers)}")
    directory = cloud.vms.state / one
    if way != "stop":
        eventually(lambda: not directory.exists(), "the disk is still there")
        return
    assert (directory / "disk" / "etc" / "envforge" / "host.json").exists()
    cloud.ec2.start_instances(InstanceIds=[one])
    again = cloud.seen(one, after=first["marker"])
    assert again["config"]["listen_address"] == first["config"]["listen_address"]
    cloud.ec2.terminate_instances(InstanceIds=[one])


def test_each_boot_has_an_id_of_its_own(cloud: Cloud) -> None:
    one = cloud.launch()
    boots = set()
    for turn in range(3):
        machine = cloud.vms.wait_on(one)
        assert machine.record is not None
        boots.add(machine.record.boot)
        # So fast that the simulator may never see it stopped.
        if turn == 0:
            cloud.ec2.stop_instances(InstanceIds=[one])
            cloud.ec2.start_instances(InstanceIds=[one])
        else:
            cloud.ec2.reboot_instances(InstanceIds=[one])
        eventually(
            lambda: (r := cloud.vms.machine(one).record) and r.pid and r.boot not in boots, "no new boot"
        )
    assert len(boots) == 3
    cloud.ec2.terminate_instances(InstanceIds=[one])


def test_a_crash_stays_until_ec2_stops_and_starts_the_instance(cloud: Cloud) -> None:
    one = cloud.launch()
    seen = cloud.seen(one)
    numbers = whole(cloud.vms.wait_on(one))
    cloud.vms.crash(one)
    assert not alive(numbers)
    time.sleep(1.0)
    assert not cloud.vms.is_on(one)
    assert cloud.described(one)["State"]["Name"] == "running"
    cloud.ec2.stop_instances(InstanceIds=[one])
    cloud.ec2.start_instances(InstanceIds=[one])
    cloud.seen(one, after=seen["marker"])
    cloud.ec2.terminate_instances(InstanceIds=[one])


def test_a_killed_daemon_is_started_again_and_the_rest_lives_on(cloud: Cloud) -> None:
    one = cloud.launch()
    seen = cloud.seen(one)
    machine = cloud.vms.wait_on(one)
    before = whole(machine)
    daemon = machine.daemon_pid
    assert daemon is not None
    cloud.vms.kill_daemon(one)
    cloud.seen(one, after=seen["marker"])
    assert daemon not in alive(before)
    assert machine.record is not None
    assert machine.record.pid in alive(before)
    cloud.ec2.terminate_instances(InstanceIds=[one])


def test_a_frozen_daemon_stands_still_until_it_is_thawed(cloud: Cloud) -> None:
    one = cloud.launch()
    cloud.seen(one)
    machine = cloud.vms.wait_on(one)
    pid = machine.daemon_pid
    assert pid is not None

    def state() -> str:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]

    cloud.vms.freeze(one)
    eventually(lambda: state() == "T", "it goes on")
    cloud.vms.thaw(one)
    eventually(lambda: state() != "T", "it stands still")
    cloud.ec2.terminate_instances(InstanceIds=[one])


def test_tampering_with_what_is_not_there_is_refused(cloud: Cloud) -> None:
    for name in ("i-00000000000000000", "../hidden"):
        with pytest.raises(tampering.NoSuchVmError):
            cloud.vms.crash(name)


@pytest.mark.parametrize(
    ("user_data", "said"),
    [
        ("#cloud-config\nwrite_files: [}", "is not YAML"),
        ("#!/bin/sh\necho", "does not begin with the line #cloud-config"),
        (cloud_config(write_files=[]), "holds no /etc/envforge/host.json"),
        (cloud_config(write_files=[{"path": "../x", "content": ""}]), "not an absolute path"),
        (cloud_config(runcmd=[]), "no runcmd enables"),
    ],
)
def test_user_data_that_cannot_be_used_boots_a_vm_that_says_why(
    cloud: Cloud, user_data: str, said: str
) -> None:
    one = cloud.launch(user_data)
    machine = cloud.vms.wait_on(one)
    eventually(lambda: said in cloud.console_output(one), cloud.vms.console(one))
    assert machine.daemon_pid is None
    cloud.ec2.terminate_instances(InstanceIds=[one])


def test_a_simulator_that_comes_back_adopts_what_runs(own_cloud: Cloud) -> None:
    cloud = own_cloud
    kept, ended, stopped = (cloud.launch() for _ in range(3))
    for one in (kept, ended, stopped):
        cloud.seen(one)
    before = {one: cloud.vms.wait_on(one).record for one in (kept, ended, stopped)}
    numbers = {one: whole(cloud.vms.machine(one)) for one in (kept, ended, stopped)}
    cloud.vms.end(signal.SIGKILL)
    assert alive(numbers[kept]) == numbers[kept]
    cloud.ec2.terminate_instances(InstanceIds=[ended])
    cloud.ec2.stop_instances(InstanceIds=[stopped])
    new = cloud.launch()
    cloud.vms.start()
    eventually(lambda: not alive(numbers[ended] | numbers[stopped]), "ended ones live on")
    cloud.seen(new)
    assert cloud.vms.machine(kept).record == before[kept]
    assert alive(numbers[kept]) >= {before[kept].pid}  # type: ignore[union-attr]
    # Its metadata service is back, with the tokens it gave before.
    assert cloud.vms.end() == 0
    eventually(lambda: not alive(numbers[kept]), "a simulator that ends takes the power of its VMs")
    cloud.vms.start()
    record = cloud.vms.wait_on(kept).record
    assert record is not None
    assert record.boot != before[kept].boot  # type: ignore[union-attr]


def test_vms_survive_an_endpoint_that_is_gone_for_a_while(own_cloud: Cloud) -> None:
    cloud = own_cloud
    one = cloud.launch()
    cloud.seen(one)
    numbers = whole(cloud.vms.wait_on(one))
    address = cloud.described(one)["PrivateIpAddress"]
    cloud.server.end(signal.SIGKILL)
    time.sleep(0.6)
    assert cloud.vms.is_on(one)
    cloud.server.start()
    assert cloud.described(one)["PrivateIpAddress"] == address
    cloud.ec2.terminate_instances(InstanceIds=[one])
    eventually(lambda: not alive(numbers), "it lives on")


def test_what_a_reset_finds_is_ended(own_cloud: Cloud) -> None:
    cloud = own_cloud
    one = cloud.launch()
    cloud.seen(one)
    numbers = whole(cloud.vms.wait_on(one))
    cloud.vms.end(signal.SIGKILL)
    assert remove_all(cloud.vms.state) == [one]
    assert not alive(numbers)
    assert machines(cloud.vms.state) == []


def test_no_two_instances_ever_share_an_address(own_cloud: Cloud) -> None:
    """A random walk of starts, stops and ends; the addresses are what DescribeInstances gives."""
    cloud = own_cloud
    assert cloud.vms.end() == 0
    choice = random.Random(4)  # noqa: S311 - a walk that is the same each time
    of: dict[str, str] = {}
    living: set[str] = set()
    for _ in range(150):
        step = choice.choice(("run", "run", "stop", "start", "end", "restart"))
        one = choice.choice(sorted(living)) if living else ""
        if step == "run":
            made = cloud.ec2.run_instances(ImageId="ami-12345678", MinCount=3, MaxCount=3)["Instances"]
            living |= {two["InstanceId"] for two in made}
        elif step == "end" and one:
            cloud.ec2.terminate_instances(InstanceIds=[one])
            living.discard(one)
        elif step == "restart" and choice.random() < 0.1:
            cloud.server.end(signal.SIGKILL)
            cloud.server.start()
        elif one and cloud.described(one)["State"]["Name"] == {"stop": "running", "start": "stopped"}.get(
            step
        ):
            getattr(cloud.ec2, f"{step}_instances")(InstanceIds=[one])
    found = {
        two["InstanceId"]: two["PrivateIpAddress"]
        for page in cloud.ec2.get_paginator("describe_instances").paginate()
        for group in page["Reservations"]
        for two in group["Instances"]
        if two["State"]["Name"] != "terminated"
    }
    assert set(found) == living
    assert len(living) > 50
    assert len(set(found.values())) == len(found)
    assert all(of.setdefault(one, address) == address for one, address in found.items())


@pytest.mark.skipif(os.geteuid() != 0, reason="root makes VMs with a disk of their own")
def test_a_vm_sees_neither_our_state_nor_writes_our_disk(cloud: Cloud) -> None:
    one = cloud.launch()
    cloud.seen(one)
    machine = cloud.vms.wait_on(one)
    assert machine.record is not None
    if machine.record.kind is not Kind.DISK:
        pytest.skip("no file system can be laid over another here")
    inside = ["nsenter", "-t", str(machine.record.pid), "-a", "--"]
    listed = subprocess.run(
        [*inside, "ls", "-A", str(cloud.vms.directory / "hidden")], capture_output=True, text=True, check=True
    )
    assert listed.stdout == ""
    subprocess.run([*inside, "touch", "/etc/written-in-a-vm"], check=True)
    assert not Path("/etc/written-in-a-vm").exists()
    assert (machine.disk / "etc" / "written-in-a-vm").exists()
    repository = Path(__file__).parents[3]
    assert subprocess.run(
        [*inside, "touch", str(repository / "written")], capture_output=True, check=False
    ).returncode
    counted = subprocess.run(
        [*inside, "sh", "-c", "ls -d /proc/[0-9]*"], capture_output=True, text=True, check=True
    )
    assert "/proc/1\n" in counted.stdout
    assert len(counted.stdout.split()) < 20
    cloud.ec2.terminate_instances(InstanceIds=[one])
