"""VMs whose local cloud was killed and its directory removed: what they left in the kernel is found by the next one that starts.

A firewall table that nobody needs is walked by every packet of the machine: forty of them made a local request six times slower.
"""

import json
import os
from pathlib import Path

from local_cloud.home import read_document
from local_cloud.vms import traces

PLACE = Path("/run/envforge-local-cloud")


def note(instance_id: str, *, pid: int, started_ticks: int, tag: str, cgroup: str) -> None:
    """Say which process a VM ends with, and what it may leave behind then. Only root's VMs leave anything."""
    if os.geteuid() != 0:
        return
    PLACE.mkdir(mode=0o700, exist_ok=True)
    document = {"pid": pid, "started_ticks": started_ticks, "tag": tag, "cgroup": cgroup}
    new = PLACE / f"{instance_id}.new"
    new.write_text(json.dumps(document))
    new.rename(PLACE / f"{instance_id}.json")


def forget(instance_id: str) -> None:
    """Nothing of it is left."""
    if os.geteuid() == 0:
        (PLACE / f"{instance_id}.json").unlink(missing_ok=True)


def sweep() -> list[str]:
    """Remove what VMs left that run no more; which instances they were."""
    if os.geteuid() != 0 or not PLACE.is_dir():
        return []
    noted = {file.stem: read_document(file) for file in sorted(PLACE.glob("*.json"))}
    ended = {
        name: one
        for name, one in noted.items()
        if one and not traces.alive(int(one["pid"]), int(one["started_ticks"]))
    }
    # A replacement is the same host, and has the same firewall table.
    kept = {str(one["tag"]) for name, one in noted.items() if one and name not in ended}
    for name, one in ended.items():
        traces.remove_control_groups(str(one["cgroup"]))
        if one["tag"] not in kept:
            traces.remove_network(str(one["tag"]))
        forget(name)
    return list(ended)
