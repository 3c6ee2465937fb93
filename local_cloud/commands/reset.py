"""./dev reset: back to the state before the first ./dev up, packages excepted."""

import shutil
import sys
from collections.abc import Mapping, Sequence

from local_cloud.cloud import exclusive
from local_cloud.console import Console
from local_cloud.errors import LocalCloudError
from local_cloud.home import Home
from local_cloud.processes import Records
from local_cloud.vms.machines import remove_all

KEPT = frozenset({"venv", "run"})  # run holds the lock that is ours at that moment


def run(home: Home, _caller: Mapping[str, str], arguments: Sequence[str], console: Console) -> int:
    """Remove the state of this home after a question; --yes answers it."""
    if set(arguments) - {"--yes"}:
        raise LocalCloudError("./dev reset takes only --yes.")
    with exclusive(home, "reset"):
        if "--yes" not in arguments:
            if not sys.stdin.isatty():
                raise LocalCloudError(
                    "./dev reset asks before it removes anything. Without a terminal, say --yes."
                )
            answer = input(f"Remove all local data of EnvForge in {home.root}? The packages stay. [y/N] ")
            if answer.strip().lower() not in {"y", "yes"}:
                console.say("Nothing was removed.")
                return 1
        Records(home.run / "parts.json", home.root).end_leftovers()
        # Nested homes, such as the tests', may have VMs too.
        for directory in (home.root / "vms", *home.root.glob("*/vms")):
            remove_all(directory)
        for entry in home.root.iterdir():
            if entry.name in KEPT:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        for name in ("parts.json", "beat-schedule", "issuer-clients.json"):
            (home.run / name).unlink(missing_ok=True)
    console.say(f"All local data in {home.root} is removed. ./dev up starts anew.")
    return 0
