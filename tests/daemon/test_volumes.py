"""Volumes for managed data: blank ones get a file system, everything else is left alone; directories in the local cloud."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from envforge_daemon import volumes
from envforge_daemon.config import Config
from envforge_daemon.errors import IsolationError
from envforge_protocol.host.workspaces import Storage, Volume, Workspace

VOLUME = "vol-0123456789abcdef0"


def config(root: Path, **more: Any) -> Config:
    known = {
        "control_plane": "http://127.0.0.1:9",
        "host_id": str(uuid4()),
        "generation": 1,
        "role": "runtime",
        "region": "eu-central-1",
        "image": "1",
        "listen_address": "127.0.0.1",
        "state_dir": str(root / "state"),
    }
    return Config.model_validate(known | more)


def workspace(data: str = VOLUME) -> Workspace:
    return Workspace(
        id=uuid4(),
        slug="main",
        user="main",
        uid=200_000,
        storage=Storage(kind="directory", directory="main"),
        data=Volume(id=data) if data else None,
    )


def disk(path: Path) -> Path:
    with path.open("wb") as made:
        made.truncate(16 << 20)
    return path


def test_what_nobody_wrote_to_is_blank(tmp_path: Path) -> None:
    assert volumes.is_blank(disk(tmp_path / "disk"))


@pytest.mark.skipif(shutil.which("mkfs.ext4", path="/sbin:/usr/sbin") is None, reason="there is no mkfs.ext4")
def test_a_file_system_of_ours_is_not_made_again(tmp_path: Path) -> None:
    made = disk(tmp_path / "disk")
    subprocess.run(
        ["mkfs.ext4", "-q", str(made)], check=True, env={"PATH": f"/sbin:/usr/sbin:{os.environ['PATH']}"}
    )
    assert not volumes.is_blank(made)


@pytest.mark.parametrize("at", [0, 512, 4096, (1 << 20) - 1])
def test_what_holds_something_else_is_left_alone(at: int, tmp_path: Path) -> None:
    """A customer's data are never taken for an empty disk."""
    made = disk(tmp_path / "disk")
    with made.open("r+b") as opened:
        opened.seek(at)
        opened.write(b"x")
    with pytest.raises(IsolationError, match="left untouched"):
        volumes.is_blank(made)


def test_a_directory_stands_for_it_once_it_is_attached(tmp_path: Path) -> None:
    known, one = config(tmp_path, volumes_dir=str(tmp_path / "volumes")), workspace()
    with pytest.raises(IsolationError, match="not attached to this VM"):
        asyncio.run(volumes.mount(known, one))
    (tmp_path / "volumes" / VOLUME).mkdir(parents=True)
    assert asyncio.run(volumes.mount(known, one)) == tmp_path / "volumes" / VOLUME
    asyncio.run(volumes.unmount(known, one))
    assert (tmp_path / "volumes" / VOLUME).is_dir()


def test_a_device_that_does_not_appear_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volumes, "APPEARS_WITHIN_S", 0.1)
    monkeypatch.setattr(volumes, "BY_ID", tmp_path)
    with pytest.raises(IsolationError, match="not attached to this VM"):
        asyncio.run(volumes.mount(config(tmp_path), workspace()))


def test_a_workspace_without_a_volume_has_no_place(tmp_path: Path) -> None:
    with pytest.raises(IsolationError, match="no place for managed data"):
        asyncio.run(volumes.mount(config(tmp_path), workspace("")))


def test_the_device_is_mounted_for_data_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """H2: no set-uid program and no device node of a workspace's counts there. What would be run is looked at: no test may mount."""
    made = disk(tmp_path / "nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0")
    monkeypatch.setattr(volumes, "BY_ID", tmp_path)
    ran: list[tuple[str, ...]] = []

    async def run(*argv: str) -> str:
        ran.append(argv)
        return ""

    monkeypatch.setattr(volumes, "run", run)
    one = workspace()
    place = asyncio.run(volumes.mount(config(tmp_path), one))
    assert place == tmp_path / "state" / "data" / str(one.id)
    format_, mounted = ran
    assert format_[0] == "mkfs.ext4"
    assert format_[-1] == str(made)
    assert mounted == ("mount", "-t", "ext4", "-o", "nosuid,nodev,noatime", str(made), str(place))
