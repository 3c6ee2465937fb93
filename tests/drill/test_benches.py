"""The measurements still measure: what they load and call by name changes with the product."""

import os
import subprocess
import sys

import pytest

from local_cloud.commands.bench import measurements
from local_cloud.home import REPOSITORY, Home

pytestmark = pytest.mark.drill


@pytest.mark.parametrize("name", measurements())
def test_a_quick_run_comes_to_its_end(home: Home, name: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "local_cloud", "bench", name, "--quick"],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], "ENVFORGE_HOME": str(home.root)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
        check=False,
    )
    told = ran.stdout.decode()
    assert ran.returncode == 0, told[-4000:]
    assert "a quick run: its figures say nothing" in told
