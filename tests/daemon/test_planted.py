"""What may lie on a workspace's disk, planted by a resource's account or by a root of its last VM (THREATS H2, H5)."""

import asyncio
import json
import os
import stat
from pathlib import Path

import pytest

from envforge_daemon.errors import IsolationError
from envforge_daemon.isolation.data import DataPlace
from envforge_daemon.resources.postgres import Postgres
from envforge_daemon.resources.programs import Unavailable
from tests.daemon.test_volumes import config

SECRET = "canary-5b1c"


@pytest.fixture
def postgres(tmp_path: Path) -> Path:
    """A VM's programs, of which one tells a version."""
    bin_ = tmp_path / "programs" / "postgres" / "16" / "bin"
    bin_.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        (bin_ / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 16.3'\n")
        (bin_ / name).chmod(0o755)
    return tmp_path / "programs"


@pytest.mark.parametrize("planted", ["link", "directory", "pipe", "long"])
def test_h2_root_reads_nothing_that_a_resource_planted(tmp_path: Path, postgres: Path, planted: str) -> None:
    """H2: what a link leads to was shown in the reason why PostgreSQL does not start; a pipe would stop the whole VM's program."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "PG_VERSION").write_text(SECRET)
    directory = tmp_path / "data-of-it"
    (directory / "data").mkdir(parents=True)
    version = directory / "data" / "PG_VERSION"
    if planted == "link":
        version.symlink_to(tmp_path / "secret" / "PG_VERSION")
    elif planted == "directory":
        (directory / "data").rmdir()
        (directory / "data").symlink_to(tmp_path / "secret")
    elif planted == "pipe":
        os.mkfifo(version)
    else:
        version.write_text(SECRET * 1000)
    program = asyncio.run(Postgres().program(config(tmp_path, programs=str(postgres)), None, directory))
    assert program.version == "16.3"


def test_data_of_another_version_is_still_told(tmp_path: Path, postgres: Path) -> None:
    (tmp_path / "it" / "data").mkdir(parents=True)
    (tmp_path / "it" / "data" / "PG_VERSION").write_text("14\n")
    with pytest.raises(Unavailable, match="written by PostgreSQL 14"):
        asyncio.run(Postgres().program(config(tmp_path, programs=str(postgres)), None, tmp_path / "it"))


def test_h5_a_link_in_place_of_our_directory_leads_nowhere(tmp_path: Path) -> None:
    """H5: the disk outlives the VM on which somebody was root, and what they left on it leads to nothing of the next VM's."""
    theirs, place = tmp_path / "etc", DataPlace(tmp_path / "disk")
    theirs.mkdir(mode=0o755)
    (theirs / "db.json").write_text(json.dumps({"type": "postgres", "secret": SECRET, "port": 1}))
    place.path.mkdir()
    (place.path / "known").symlink_to(theirs)
    assert place.known("db") is None
    with pytest.raises(IsolationError, match="not as this VM left them"):
        asyncio.run(place.remember("new", {}))
    with pytest.raises(IsolationError, match="not as this VM left them"):
        place.forget("db")
    assert stat.S_IMODE(theirs.stat().st_mode) == 0o755
    assert [one.name for one in theirs.iterdir()] == ["db.json"]


def test_h5_a_remembered_document_is_a_file_of_ours(tmp_path: Path) -> None:
    place = DataPlace(tmp_path / "disk")
    place.path.mkdir()
    asyncio.run(place.remember("db", {"type": "redis"}))
    assert place.known("db") == {"type": "redis"}
    (tmp_path / "elsewhere.json").write_text("{}")
    (place.path / "known" / "link.json").symlink_to(tmp_path / "elsewhere.json")
    os.mkfifo(place.path / "known" / "pipe.json")
    assert place.known("link") is None
    assert place.known("pipe") is None
