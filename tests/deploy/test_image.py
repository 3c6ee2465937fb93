"""The base image's recipe: a version that can be a tag, and a script that a shell can read (W13)."""

import os
import re
import shutil
import subprocess

import pytest

from local_cloud.aws.fleet import IMAGE_VERSION_FILE
from tests.deploy.template import REPOSITORY

SCRIPTS = [
    REPOSITORY / "deploy" / "image" / "build.sh",
    REPOSITORY / "deploy" / "daemon" / "install.sh",
]
NAMED = [script.name for script in SCRIPTS]


def test_the_version_is_a_word_that_an_image_can_be_named_by() -> None:
    text = IMAGE_VERSION_FILE.read_text()
    assert re.fullmatch(r"20[0-9]{2}\.(1[0-2]|[1-9])\.[0-9]{1,3}\n", text)


@pytest.mark.parametrize("script", SCRIPTS, ids=NAMED)
def test_a_shell_can_read_it(script: os.PathLike[str]) -> None:
    done = subprocess.run(["/bin/sh", "-n", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert os.access(script, os.X_OK)


@pytest.mark.parametrize("script", SCRIPTS, ids=NAMED)
def test_shellcheck_has_nothing_to_say(script: os.PathLike[str]) -> None:
    checker = shutil.which("shellcheck")
    if checker is None:
        pytest.skip("shellcheck is not installed (apt-get install shellcheck)")
    done = subprocess.run([checker, script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_recipe_builds_on_the_daemons_own_installation() -> None:
    recipe = (REPOSITORY / "deploy" / "image" / "build.sh").read_text()
    assert '"$here/deploy/daemon/install.sh"' in recipe
    for package in (
        "git",
        "tmux",
        "nodejs",
        "npm",
        "python3",
        "sudo",
        "nftables",
        "iproute2",
        "openssh-client",
    ):
        assert re.search(rf"\s{re.escape(package)}\s", recipe), package
