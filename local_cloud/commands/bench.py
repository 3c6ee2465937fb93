"""./dev bench: the measurements in bench/, each beside fresh services."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from local_cloud.commands.foreground import run_in_foreground
from local_cloud.commands.packages import prepare_machine
from local_cloud.commands.peers import prepare_jupyterhub
from local_cloud.commands.services import services
from local_cloud.commands.testing import environment
from local_cloud.console import Console
from local_cloud.errors import LocalCloudError
from local_cloud.home import REPOSITORY, Home
from local_cloud.steps import collect_static

BENCHES = REPOSITORY / "bench"
# Those that measure the whole product, VMs and all, beside JupyterHub; the others start what they need of it themselves.
WHOLE = frozenset({"wake"})


def measurements() -> dict[str, Path]:
    """Each measurement's program, by name."""
    return {path.stem: path for path in sorted(BENCHES.glob("*.py")) if not path.stem.startswith("_")}


def run(home: Home, caller: Mapping[str, str], arguments: Sequence[str], console: Console) -> int:
    """Run the named measurement, or all of them in turn, with the arguments after it."""
    have = measurements()
    named = [one for one in arguments[:1] if not one.startswith("-")]
    options = arguments[len(named) :]
    if named and named[0] not in have:
        listed = ", ".join(have) or "none yet"
        raise LocalCloudError(f"There is no measurement {named[0]!r} in bench/. There are: {listed}.")
    if not have:
        raise LocalCloudError("There are no measurements in bench/ yet.")
    chosen = [have[one] for one in named] or list(have.values())
    worst = 0
    for script in chosen:
        console.say(f"\n{script.stem}")
        whole = script.stem in WHOLE
        peers: dict[str, str] = {}
        if whole:
            prepare_machine(console)
            peers = prepare_jupyterhub(home.nested("bench"), caller, console)
        with services(home.nested("bench"), caller, "bench", console, apart=True, whole=whole) as cloud:
            if not whole:
                collect_static(cloud, console)
            # As a module: as a script, its directory would come first, and bench/timeline.py would hide the app.
            command = [sys.executable, "-m", f"bench.{script.stem}", *options]
            worst = max(worst, run_in_foreground(command, environment(cloud, caller) | peers))
    return worst
