"""The servers that VMs of this machine run for workspaces: links to those of the installed packages, as
`deploy/daemon/install.sh` makes them on a VM.
"""

import sys
from pathlib import Path

from local_cloud import postgres, valkey
from local_cloud.errors import LocalCloudError


def link_all(directory: Path) -> None:
    """Make the links, or put them right; a server that is not installed here has none, and VMs say so when it is asked for."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o755)
    for name, found in (("postgres/own", _postgres()), ("valkey-server", _valkey()), ("weed", _weed())):
        link = directory / name
        link.parent.mkdir(exist_ok=True, mode=0o755)
        link.unlink(missing_ok=True)
        if found is not None:
            link.symlink_to(found)


def _postgres() -> Path | None:
    try:
        return postgres.binaries().parent
    except LocalCloudError:
        return None


def _valkey() -> Path | None:
    try:
        return valkey.binary()
    except LocalCloudError:
        return None


def _weed() -> Path | None:
    found = Path(sys.executable).with_name("weed")
    return found if found.exists() else None
