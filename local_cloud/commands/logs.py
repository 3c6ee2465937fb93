"""./dev logs: what the parts write, followed as they write it."""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from local_cloud.cloud import running
from local_cloud.console import Console
from local_cloud.errors import LocalCloudError
from local_cloud.home import Home

LAST_BYTES = 4000
POLL_S = 0.3


def run(home: Home, caller: Mapping[str, str], arguments: Sequence[str], console: Console) -> int:
    """Show the end of every log, or of the named ones, and follow them while ./dev up runs."""
    have = {path.stem: path for path in sorted(home.logs.glob("*.log"))}
    unknown = [name for name in arguments if name not in have]
    if unknown or not have:
        named = f"There is no log of {unknown[0]!r}" if unknown else "There are no logs yet"
        raise LocalCloudError(
            f"{named}. {'Logs: ' + ', '.join(have) if have else 'Start something: ./dev up'}"
        )
    chosen = {name: have[name] for name in arguments or have}
    places = {name: max(0, path.stat().st_size - LAST_BYTES) for name, path in chosen.items()}
    try:
        while True:
            for name, path in chosen.items():
                places[name] = _show(name, path, places[name])
            if running(home, caller) is None:
                return 0
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        console.say()
        return 0


def _show(name: str, path: Path, start: int) -> int:
    if path.exists() and path.stat().st_size < start:
        start = 0  # it was begun anew
    with path.open("rb") as file:
        file.seek(start)
        text = file.read()
    whole = text.rpartition(b"\n")[0]
    for line in whole.decode(errors="replace").splitlines():
        sys.stdout.write(f"{name:<9}| {line}\n")
    sys.stdout.flush()
    return start + len(whole) + (1 if whole else 0)
