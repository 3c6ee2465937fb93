"""The product's own daemon on a simulated VM: it starts with what the simulator gives it, and leaves nothing in the kernel."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_cloud.vms.traces import remove_network
from tests.local_cloud.vms.conftest import Cloud, cloud_config, end, new_cloud
from tests.vms import eventually

TAG = "00d1e5"
needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("nft") is None, reason="only root's VMs leave traces"
)
HOST = {
    "control_plane": "http://127.0.0.1:9",  # nobody answers there
    "host_id": f"7f1c9d52-1f0e-4c39-9d57-a3b2c1{TAG}",
    "generation": 1,
    "role": "runtime",
    "region": "eu-west-1",
    "image": "1",
}


@pytest.fixture
def daemons_cloud() -> Iterator[Cloud]:
    cloud = new_cloud()
    assert cloud.vms.end() == 0
    cloud.vms.daemon = "envforge_daemon"
    cloud.vms.start()
    yield cloud
    end(cloud)


def tables() -> str:
    return subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout


@needs_root
def test_a_table_is_removed_whatever_path_somebody_came_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """`su` keeps a user's PATH, and a program that was started without one finds no program of root's."""
    subprocess.run(["nft", "add", "table", "inet", "envforge_00d1e8"], check=True)
    monkeypatch.setenv("PATH", "/nowhere")
    remove_network("00d1e8")
    monkeypatch.undo()
    assert "envforge_00d1e8" not in tables()


def test_the_daemon_runs_on_a_vm_and_is_gone_with_it(daemons_cloud: Cloud) -> None:
    """H1, H5: its firewall stands while the VM runs, and table and control group go with the instance."""
    cloud = daemons_cloud
    file = {"path": "/etc/envforge/host.json", "content": json.dumps(HOST)}
    one = cloud.launch(cloud_config(write_files=[file]))
    machine = cloud.vms.wait_on(one)
    first = eventually(lambda: machine.daemon_pid, "no daemon")
    walled = os.geteuid() == 0 and shutil.which("nft") is not None
    if walled:
        eventually(lambda: f"envforge_{TAG}" in tables(), cloud.vms.console(one))
    assert eventually(lambda: machine.daemon_pid, "it ended") == first, cloud.vms.console(one)
    if walled:
        # W3: the servers that workspaces may have are where its daemon looks for them.
        for program in ("valkey-server", "postgres/own/bin/postgres"):
            asked = ["nsenter", "-t", str(first), "-m", f"/opt/envforge/programs/{program}", "--version"]
            assert subprocess.run(asked, capture_output=True, check=False).returncode == 0, program
    # The same host one generation later: what ends of the first must not take the second's firewall away.
    later = {"path": "/etc/envforge/host.json", "content": json.dumps(HOST | {"generation": 2})}
    second = cloud.launch(cloud_config(write_files=[later]))
    eventually(lambda: cloud.vms.machine(second).daemon_pid, "no second daemon")
    if walled:
        eventually(
            lambda: "Not in force" in cloud.vms.console(second) or "running" in cloud.vms.console(second), ""
        )
    cloud.ec2.terminate_instances(InstanceIds=[one])
    eventually(lambda: not (cloud.vms.state / one).exists(), "the disk is still there")
    if walled:
        assert f"envforge_{TAG}" in tables()
    one = second
    cloud.ec2.terminate_instances(InstanceIds=[one])
    eventually(lambda: not (cloud.vms.state / one).exists(), "the disk is still there")
    if walled:
        assert f"envforge_{TAG}" not in tables()
    assert not list(Path("/sys/fs/cgroup").glob(f"**/envforge-vm-{one}"))


@needs_root
def test_the_next_local_cloud_removes_what_a_killed_one_left(daemons_cloud: Cloud) -> None:
    """Everything of it was killed and its directory is gone; what still runs elsewhere keeps its firewall."""
    cloud = daemons_cloud

    def launch(tag: str) -> str:
        host = HOST | {"host_id": f"{str(HOST['host_id'])[:-6]}{tag}"}
        file = {"path": "/etc/envforge/host.json", "content": json.dumps(host)}
        one = cloud.launch(cloud_config(write_files=[file]))
        cloud.vms.wait_on(one)
        eventually(lambda: f"envforge_{tag}" in tables(), cloud.vms.console(one))
        return one

    lost, living = launch("00d1e6"), launch("00d1e7")
    record = cloud.vms.machine(lost).record
    assert record is not None
    cloud.vms.end(signal.SIGKILL)
    os.kill(record.pid, signal.SIGKILL)
    eventually(lambda: not cloud.vms.is_on(lost), "it lives on")
    shutil.rmtree(cloud.vms.state / lost)
    assert "envforge_00d1e6" in tables()
    other = new_cloud()
    try:
        assert "envforge_00d1e6" not in tables()
        assert not list(Path("/sys/fs/cgroup").glob(f"**/{record.cgroup}"))
        assert "envforge_00d1e7" in tables()
        assert cloud.vms.is_on(living)
    finally:
        end(other)
    cloud.vms.start()
    cloud.ec2.terminate_instances(InstanceIds=[lost, living])
    eventually(lambda: "envforge_00d1e7" not in tables(), "its firewall is still there")
