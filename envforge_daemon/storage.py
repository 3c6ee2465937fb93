"""Where a workspace's files come from: a directory of this machine, or an access point of the organization's file system.

The data of its managed resources has a disk of its own (`attach_data`).
"""

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


async def attach_data(config: Config, workspace: Workspace) -> Path:
    """Make the data of the workspace's managed resources reachable, before the first of them starts; where it is.

    Raises:
        IsolationError: it cannot be had; says why.
    """
    if workspace.data is None:
        raise IsolationError("The workspace has no disk for its resources' data. Wake it again to get one.")
    if config.volumes_dir is None:
        raise IsolationError("This VM cannot reach the workspace's data. Replace it by one of a newer image.")
    place = config.volumes_dir / workspace.data.id
    place.mkdir(parents=True, exist_ok=True, mode=0o711)
    return place


async def detach_data(config: Config, workspace: Workspace) -> None:
    """Let go of it, after the last of them has ended; nothing to do for a directory."""


def remove_empty(place: Path) -> None:
    """Take away the directory that was mounted on."""
    if place.is_dir() and not any(place.iterdir()):
        place.rmdir()
