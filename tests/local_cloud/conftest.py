"""Homes for the tests of the local cloud, in a place that nobody can reach when we are root."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_cloud.home import Home


@pytest.fixture
def home() -> Iterator[Home]:
    """A home of its own, outside pytest's directories, which are closed to other accounts."""
    root = Path(tempfile.mkdtemp(prefix="envforge-home-"))
    root.chmod(0o755)
    yield Home(root)
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def module_home() -> Iterator[Home]:
    """A home that all tests of a file share."""
    root = Path(tempfile.mkdtemp(prefix="envforge-home-"))
    root.chmod(0o755)
    yield Home(root)
    shutil.rmtree(root)
