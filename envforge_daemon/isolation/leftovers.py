"""What VMs of the local cloud leave on their machine when they end without a word: found by the next one that starts.

Only a VM with an `owner_pid` is ever swept: it is over when that process is. A VM on AWS takes everything with itself.
"""

import json
from pathlib import Path
from typing import Any

from envforge_daemon.config import Config
from envforge_daemon.errors import IsolationError
from envforge_daemon.isolation import cgroups, firewall, network
from envforge_daemon.isolation.processes import start_time
from envforge_daemon.isolation.programs import run

OWNERS = Path("/run/envforge-vms")


def register(config: Config) -> None:
    """Say whose this VM is, before anything of it is made."""
    if config.owner_pid is None:
        return
    started = start_time(config.owner_pid)
    if started is None:
        raise IsolationError(f"The process {config.owner_pid}, which owns this VM, does not run.")
    OWNERS.mkdir(mode=0o700, exist_ok=True)
    document = {"pid": config.owner_pid, "started": started, "group": config.group}
    (OWNERS / f"{config.tag}.json").write_text(json.dumps(document))


async def sweep() -> list[str]:
    """Remove processes, namespaces, wires, tables and groups of VMs whose owners have ended; which VMs that were."""
    swept = []
    for file in _entries(OWNERS, "*.json"):
        try:
            document: dict[str, Any] = json.loads(file.read_text())
        except (FileNotFoundError, ValueError):
            continue
        if start_time(document["pid"]) != document["started"]:
            await remove(file.stem, document["group"])
            swept.append(file.stem)
    return swept


async def remove(tag: str, group: str) -> None:
    """Remove all of one VM from this machine: its processes first."""
    if group and not cgroups.why_not():
        await cgroups.Group(group).kill()
        cgroups.Group(group).remove()
    for entry in _entries(network.NAMESPACES, f"ef-{tag}-*"):
        await run("ip", "netns", "delete", entry.name, may_fail=True)
    for entry in _entries(Path("/sys/class/net"), f"ef{tag}*"):
        await run("ip", "link", "delete", entry.name, may_fail=True)
    await run("nft", "delete", "table", "inet", firewall.name(tag), may_fail=True)
    (OWNERS / f"{tag}.json").unlink(missing_ok=True)


def _entries(directory: Path, pattern: str) -> list[Path]:
    return sorted(directory.glob(pattern)) if directory.is_dir() else []
