"""Where a workspace's files come from: a directory of this machine, or the organization's file system of EFS.

    await storage.attach(config, workspace)    # again, as often as one likes
    await storage.detach(config, workspace)    # when nothing of the workspace uses them any more

A VM is one organization's, so it mounts one file system, once, where root alone can go, by NFS 4.1 through a tunnel that speaks
TLS (`tunnel`). Each workspace sees one directory of it, which has the workspace's id and belongs to its account.
"""

import asyncio
import contextlib
import re
import shutil
from pathlib import Path

from envforge_daemon import tunnel
from envforge_daemon.config import Config
from envforge_daemon.errors import IsolationError
from envforge_daemon.isolation.directories import below_root
from envforge_daemon.isolation.programs import run
from envforge_protocol.host.workspaces import Workspace

FILE_SYSTEM = re.compile(r"fs-[0-9a-f]{8,40}")
# What Amazon recommends for EFS; `hard`, so that a tunnel that comes back loses nothing, and nothing is run from what it may hold.
OPTIONS = (
    *("nfsvers=4.1", "rsize=1048576", "wsize=1048576", "hard", "timeo=600", "retrans=2", "noresvport"),
    *("sec=sys", "nosuid", "nodev", "noatime"),
)

_one_at_a_time = asyncio.Lock()


def whole(config: Config, file_system: str) -> Path:
    """Where the whole file system is on this VM."""
    return config.state_dir / "file-systems" / file_system


def mount_command(port: int, at: Path) -> tuple[str, ...]:
    """What mounts the file system behind the tunnel."""
    return ("mount", "-t", "nfs4", "-o", ",".join((f"port={port}", *OPTIONS)), "127.0.0.1:/", str(at))


async def attach(config: Config, workspace: Workspace, *, make: bool = True) -> None:
    """Mount the workspace's files; nothing to do for a directory, or where they are mounted already.

    Args:
        make: make the workspace's directory where it has none; otherwise there is nothing to mount then.

    Raises:
        IsolationError: they cannot be mounted; says why.
    """
    if workspace.storage.kind == "directory":
        return
    file_system = workspace.storage.file_system
    if not FILE_SYSTEM.fullmatch(file_system):
        raise IsolationError("The workspace's file system has no name that can be mounted.")
    for program, package in (("mount.nfs4", "nfs-common"), ("stunnel4", "stunnel4")):
        if shutil.which(program, path="/usr/sbin:/sbin:/usr/bin") is None:
            raise IsolationError(
                f"The workspace's files cannot be mounted: {package} is not installed on this VM; replace it by a newer image."
            )
    place = below_root(config, workspace)
    async with _one_at_a_time:
        if place.is_mount():
            return
        root = whole(config, file_system)
        if not root.is_mount():
            root.mkdir(parents=True, exist_ok=True)
            # Every workspace of the organization is below it.
            root.parent.chmod(0o700)
            try:
                await tunnel.open_to(config, file_system)
                await run(*mount_command(tunnel.PORT, root))
            except IsolationError:
                raise IsolationError(
                    "The workspace's files cannot be mounted: the file system does not answer, or refuses this VM. Try again."
                ) from None
        own = root / str(workspace.id)
        if not make and not own.is_dir():
            return
        # Given to the workspace's account by whoever prepares its place.
        with contextlib.suppress(FileExistsError):
            own.mkdir(mode=0o700)
        place.mkdir(parents=True, exist_ok=True, mode=0o711)
        await run("mount", "--bind", str(own), str(place))


async def detach(config: Config, workspace: Workspace, *, for_good: bool = False) -> None:
    """Unmount them, if they are mounted; the file system as a whole stays, for the next one.

    Args:
        for_good: take the workspace's directory away too, from which all was deleted. Another VM may be using it otherwise.

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
        if for_good:
            remove_empty(whole(config, workspace.storage.file_system) / str(workspace.id))


def remove_empty(place: Path) -> None:
    """Take away the directory that was mounted on."""
    if place.is_dir() and not any(place.iterdir()):
        place.rmdir()
