"""What is written where, on a machine with the unified hierarchy alone (Debian 12 under systemd) and on one that still has both."""

from pathlib import Path

import pytest

from envforge_daemon.isolation import cgroups
from envforge_daemon.isolation.cgroups import Group, Mounts
from tests.daemon.machine import SMALL, Machine


@pytest.fixture
def unified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tree as systemd mounts it, of plain files: this shows what is asked of the kernel, not that it obeys."""
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids rdma misc\n")
    monkeypatch.setattr(cgroups, "mounts", lambda: Mounts(tmp_path, {}))
    return tmp_path


def test_the_unified_hierarchy_alone_is_enough(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids rdma misc\n")
    alone = (
        f"cgroup2 {tmp_path} cgroup2 rw,nosuid,nodev,noexec,relatime,nsdelegate,memory_recursiveprot 0 0\n"
    )
    assert cgroups.mounted(alone) == Mounts(tmp_path, {})
    (tmp_path / "cgroup.controllers").write_text("hugetlb\n")
    assert cgroups.mounted(alone) is None
    both = alone + "".join(f"cgroup /cg/{name} cgroup rw,{name} 0 0\n" for name in cgroups.CONTROLLERS)
    assert cgroups.mounted(both) == Mounts(tmp_path, {n: Path(f"/cg/{n}") for n in cgroups.CONTROLLERS})


def test_limits_in_the_unified_hierarchy_alone(unified: Path, place: Path) -> None:
    """Controllers are handed down from the top to the group's parent, never by the group, which holds processes."""
    config = Machine.configured(place, cgroup="system.slice/envforge-workspaces.service")
    cgroups.make_root(config)
    group = Group(f"{config.group}/100000/service-web")
    group.make(SMALL)
    at = unified
    for part in ("", "system.slice", "envforge-workspaces.service", "100000"):
        at /= part
        assert (at / "cgroup.subtree_control").read_text() == "+memory +cpu +pids"
    own = at / "service-web"
    assert not (own / "cgroup.subtree_control").exists()
    assert (own / "memory.max").read_text() == str(64 << 20)
    assert (own / "cpu.max").read_text() == "100000 100000"
    assert (own / "pids.max").read_text() == "20"
    assert group.entrances() == [str(own / "cgroup.procs")]
