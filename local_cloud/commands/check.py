"""./dev check: everything that can be said about the code without running the product."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from local_cloud.cloud import unstarted
from local_cloud.console import Console
from local_cloud.errors import LocalCloudError
from local_cloud.home import REPOSITORY, Home

MANAGE = (sys.executable, "-W", "ignore:Got an error checking a consistent:RuntimeWarning", "manage.py")

CHECKS: dict[str, tuple[str, ...]] = {
    "Format": (sys.executable, "-m", "ruff", "format", "--check", ".", "dev"),
    "Lint": (sys.executable, "-m", "ruff", "check", ".", "dev"),
    "Types": (sys.executable, "-m", "mypy", "."),
    "Migrations": (*MANAGE, "makemigrations", "--check", "--dry-run"),
    "Rooms": (sys.executable, "-m", "pytest", "-q", "--confcutdir=tests/house", "tests/house"),
    "Links in documents": (sys.executable, "-m", "local_cloud.links"),
}


def run(home: Home, caller: Mapping[str, str], arguments: Sequence[str], console: Console) -> int:
    """Run every check, even after one failed; 1 if any did."""
    if arguments:
        raise LocalCloudError("./dev check takes no arguments; it runs all checks.")
    return run_checks(CHECKS, unstarted(home, caller).environment("manage"), console)


def run_checks(checks: Mapping[str, Sequence[str]], environment: Mapping[str, str], console: Console) -> int:
    """Run commands in turn and show what failed ones said."""
    failed = []
    for name, command in checks.items():
        began = time.monotonic()
        code, said = _run(name, command, environment, console)
        verdict = "ok" if code == 0 else "failed"
        console.say(f"  {name:<20} {verdict:<7} {time.monotonic() - began:6.1f} s")
        if code != 0:
            failed.append(name)
            console.say("\n".join(f"    {line}" for line in said.rstrip().splitlines()) + "\n")
    if failed:
        console.say(f"Failed: {', '.join(failed)}.")
        if "Format" in failed:
            console.say(f"The format is put right by: {sys.executable} -m ruff format . dev")
        return 1
    console.say("All checks are ok.")
    return 0


def _run(
    name: str, command: Sequence[str], environment: Mapping[str, str], console: Console
) -> tuple[int, str]:
    began = time.monotonic()
    with subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env={**environment, "COLUMNS": os.environ.get("COLUMNS", "110")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        while True:
            try:
                said, _ = process.communicate(timeout=1)
            except subprocess.TimeoutExpired:
                console.progress(f"{name} ... {time.monotonic() - began:.0f} s")
                continue
            return process.returncode, said
