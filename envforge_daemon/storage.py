"""Where a workspace's files come from: a directory of this machine, or an access point of the organization's file system."""

import asyncio
import re
import shutil
from pathlib import Path

from envforge_daemon.config import Config
from envforge_daemon.errors import IsolationError
from envforge_daemon.isolation.directories import below_root
from envforge_daemon.isolation.programs import run
from envforge_protocol.host.workspaces import Workspace

FILE_SYSTEM = re.compile(r"fs-[0-9a-f]{8,40}")
ACCESS_POINT = re.compile(r"fsap-[0-9a-f]{8,40}")

_one_at_a_time = asyncio.Lock()


async def attach(config: Config, workspace: Workspace) -> None:
    """Mount the workspace's files; nothing to do for a directory, or where they are mounted already.

    Raises:
        IsolationError: they cannot be mounted; says why.
    """
    storage = workspace.storage
    if storage.kind == "directory":
        return
    if not FILE_SYSTEM.fullmatch(storage.file_system) or not ACCESS_POINT.fullmatch(storage.access_point):
        raise IsolationError("The workspace's file system has no name that can be mounted.")
    if shutil.which("mount.efs", path="/sbin:/usr/sbin") is None:
        raise IsolationError(
            "The workspace's files cannot be mounted: mount.efs is not installed on this VM; replace it by a newer image."
        )
    place = below_root(config, workspace)
    async with _one_at_a_time:
        if place.is_mount():
            return
        place.mkdir(parents=True, exist_ok=True, mode=0o711)
        try:
            await run(
                *("mount", "-t", "efs", "-o"),
                f"tls,iam,accesspoint={storage.access_point},nosuid,nodev,noresvport",
                f"{storage.file_system}:/",
                str(place),
            )
        except IsolationError:
            raise IsolationError(
                "The workspace's files cannot be mounted: the file system does not answer, or refuses this VM. Try again."
            ) from None


async def detach(config: Config, workspace: Workspace) -> None:
    """Unmount them, if they are mounted.

    Raises:
        IsolationError: somebody still uses them.
    """
    if workspace.storage.kind == "directory":
        return
    place = below_root(config, workspace)
    async with _one_at_a_time:
        if place.is_mount():
            await run("umount", str(place))
        remove_empty(place)


def remove_empty(place: Path) -> None:
    """Take away the directory that was mounted on."""
    if place.is_dir() and not any(place.iterdir()):
        place.rmdir()
