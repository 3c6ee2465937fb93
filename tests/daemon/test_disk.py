"""A workspace fills what it may write on the VM's own disk, and the disk of the VM is full (THREATS H2, H3)."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from envforge_daemon.isolation import scratch
from tests.daemon.machine import Machine, sh

Play = Callable[..., None]
LOOPS = Path("/dev/loop-control").exists() and shutil.which("mkfs.ext4") is not None


def mounts() -> str:
    return Path("/proc/self/mounts").read_text()


@pytest.mark.skipif(not LOOPS, reason="this machine mounts no file systems of files")
def test_h3_a_workspace_fills_its_own_part_of_the_disk_and_no_more(behind_walls: Play) -> None:
    """H3: /tmp, /var/tmp and a service's home are one bounded place; the neighbour and the VM have theirs still."""

    async def scene(vm: Machine) -> None:
        one, two = await vm.workspace("one"), await vm.workspace("two")
        try:
            before = shutil.disk_usage(vm.config.state_dir).free
            fill = "for at in /tmp /var/tmp ~; do head -c 200M /dev/zero > $at/zeros; done"
            ran = await sh(one, fill)
            assert ran.exit_status != 0
            assert b"No space left" in ran.output
            assert before - shutil.disk_usage(vm.config.state_dir).free < 200 << 20
            assert (
                await sh(two, "head -c 1M /dev/zero > /tmp/z && stat -c %s /tmp/z")
            ).output == b"1048576\n"
            # The daemon's own small programs go on in it, and it is mounted once.
            assert await one.read_file("nothing", limit=10) is None
            await scratch.attach(vm.config, one.uid)
            assert mounts().count(f" {scratch.place(vm.config, one.uid)} ") == 1
            # Nothing in it may be a program with rights, or a device.
            flags = (await sh(one, "findmnt -no OPTIONS -T /tmp")).output
            assert b"nosuid" in flags
            assert b"nodev" in flags
        finally:
            for workspace in (one, two):
                await vm.workspaces.remove(workspace.wire, delete_files=True)
        assert str(vm.config.state_dir) not in mounts()
        assert os.listdir(vm.config.state_dir / "accounts") == []  # noqa: PTH208 - in a coroutine

    behind_walls(scene, machine="own", scratch_mib=96)


def test_a_share_of_a_small_disk_is_a_quarter(place: Path) -> None:
    config = Machine.configured(place, machine="own", scratch_mib=1 << 30)
    config.state_dir.mkdir()
    found = os.statvfs(config.state_dir)
    assert scratch.size_mib(config) == (found.f_blocks * found.f_frsize >> 20) // 4
