"""Browser tests run while no other test runs, whatever runs side by side."""

import os
import subprocess
import sys
from pathlib import Path

from local_cloud.home import REPOSITORY

SCENE = """
import os, time
from pathlib import Path
import pytest

LOG = Path(os.environ["SCENE_LOG"])

@pytest.fixture(autouse=True)
def noted(request):
    kind = "browser" if request.node.get_closest_marker("browser") else "other"
    with LOG.open("a") as log:
        log.write(f"begin {kind}\\n")
    yield
    time.sleep(0.05)  # what a fixture takes away belongs to the turn as well
    with LOG.open("a") as log:
        log.write(f"end {kind}\\n")

@pytest.mark.parametrize("number", range(4))
def test_one(number):
    time.sleep(0.05)

@pytest.mark.browser
@pytest.mark.parametrize("number", range(3))
def test_in_a_browser(number):
    time.sleep(0.05)

def test_fails():
    assert False

def test_after_it():
    time.sleep(0.05)
"""


def test_a_browser_test_is_alone_and_the_others_are_not(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"test_scene_{number}.py").write_text(SCENE)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = browser: in a browser\n")
    log = tmp_path / "log"
    ended = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "local_cloud.pytest_browser",
                "-p",
                "no:cacheprovider",
            ),
            *("-n", "3", "--dist", "loadfile", str(tmp_path)),
        ],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(REPOSITORY),
            "SCENE_LOG": str(log),
            "ENVFORGE_TEST_TURNS": str(tmp_path / "turns"),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert "3 failed, 24 passed" in ended.stdout, ended.stdout
    inside: list[str] = []
    together = 0
    for line in log.read_text().splitlines():
        word, kind = line.split()
        if word == "end":
            inside.remove(kind)
            continue
        inside.append(kind)
        assert "browser" not in inside or len(inside) == 1, log.read_text()
        together = max(together, len(inside))
    assert together > 1
