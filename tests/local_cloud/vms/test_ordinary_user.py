"""Without root a VM is a tree of ordinary processes; it ends as completely."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_cloud.home import REPOSITORY, closed_parent
from local_cloud.processes import is_running
from local_cloud.vms import traces
from local_cloud.vms.machines import Kind
from tests.local_cloud.vms.conftest import Cloud, end, new_cloud
from tests.vms import eventually

SYSTEM = Path("/usr/bin/python3")


def nobodys_python() -> tuple[str, str] | None:
    """An interpreter that nobody may run, with our packages; None if there is none."""
    if closed_parent(Path(sys.executable).resolve()) is None:
        return sys.executable, ""
    packages = sysconfig.get_path("purelib")
    probe = [str(SYSTEM), "-c", f"import sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"]
    if closed_parent(Path(packages)) or not SYSTEM.exists() or subprocess.run(probe, check=False).returncode:
        return None
    return str(SYSTEM), packages


pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or closed_parent(REPOSITORY) is not None or nobodys_python() is None,
    reason="root runs the simulator as nobody, who must be able to read this clone and run its Python",
)


@pytest.fixture
def nobodys_cloud() -> Iterator[Cloud]:
    cloud = new_cloud()
    assert cloud.vms.end() == 0
    nobody = pwd.getpwnam("nobody").pw_uid
    vms = cloud.vms
    key = vms.directory / "nobodys-key.json"
    shutil.copy(vms.root_key_file, key)
    for path in (
        vms.directory,
        key,
        vms.log,
        *(vms.directory / name for name in ("vms", "files", "volumes")),
    ):
        os.chown(path, nobody, nobody)
    shutil.rmtree(vms.state)
    vms.account, vms.root_key_file = nobody, key
    python = nobodys_python()
    assert python is not None
    vms.python = python
    vms.start()
    yield cloud
    end(cloud)


def test_a_vm_of_an_ordinary_user(nobodys_cloud: Cloud) -> None:
    cloud = nobodys_cloud
    assert "does not run as root: no namespaces" in cloud.vms.log.read_text()
    one = cloud.launch()
    seen = cloud.seen(one)
    assert seen["instance_id"] == one
    machine = cloud.vms.wait_on(one)
    assert machine.record is not None
    assert machine.record.kind is Kind.TREE
    assert machine.daemon_pid is not None

    def below() -> list[int]:
        return [each.pid for each in traces.descendants(machine.record.pid)]  # type: ignore[union-attr]

    numbers = eventually(lambda: found if len(found := below()) >= 3 else None, "no companions")
    cloud.vms.end(signal.SIGKILL)
    assert any(is_running(number) for number in numbers)
    cloud.vms.start()
    assert cloud.vms.machine(one).record == machine.record
    cloud.ec2.stop_instances(InstanceIds=[one])
    eventually(lambda: not any(is_running(number) for number in numbers), "something lives on")
    cloud.ec2.start_instances(InstanceIds=[one])
    cloud.seen(one, after=seen["marker"])
    cloud.ec2.terminate_instances(InstanceIds=[one])
    eventually(lambda: not (cloud.vms.state / one).exists(), "the disk is still there")
