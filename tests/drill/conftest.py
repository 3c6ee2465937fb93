"""Where the drills keep their state: a home of their own, which `./dev drill` names."""

import os
import shutil
from pathlib import Path

import pytest

from local_cloud.home import Home


@pytest.fixture
def home() -> Home:
    """An empty home beside that of ./dev up."""
    named = os.environ.get("ENVFORGE_DRILL_HOME")
    if named is None:
        pytest.fail("Drills start and kill the whole product: run them by ./dev drill.")
    home = Home(Path(named)).nested("whole")
    for entry in home.root.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    return home


@pytest.fixture
def papers(home: Home) -> Path:
    """A directory for journals and exports."""
    return home.directory("papers")
