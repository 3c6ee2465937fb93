"""A workspace's managed data: a volume that the control plane attached to this VM, with a file system made on first use.

    place = await volumes.mount(config, workspace)    # again, as often as one likes
    await volumes.unmount(config, workspace)          # when nothing of the workspace uses it any more

What is below `place` belongs to root; whoever keeps data makes a directory there for its own account.
"""

import asyncio
import contextlib
import os
import time
from pathlib import Path

from envforge_daemon.config import Config
from envforge_daemon.errors import IsolationError
from envforge_daemon.isolation.programs import run
from envforge_protocol.host.workspaces import Workspace

# What udev names an EBS volume on an instance of the Nitro system: its serial is the volume's id without the dash.
BY_ID = Path("/dev/disk/by-id")
APPEARS_WITHIN_S = 30.0
# ext4's superblock begins at 1024 and has its magic 56 bytes on ("ext4 Data Structures and Algorithms").
MAGIC_AT, MAGIC = 1080, b"\x53\xef"
LOOKED_AT_BYTES = 1 << 20

_one_at_a_time = asyncio.Lock()


def _device(workspace: Workspace) -> Path:
    serial = workspace.data.id.replace("-", "") if workspace.data else ""
    return BY_ID / f"nvme-Amazon_Elastic_Block_Store_{serial}"


def place_of(config: Config, workspace: Workspace) -> Path:
    """Where the workspace's data are while they are mounted.

    Raises:
        IsolationError: the workspace has no volume.
    """
    if workspace.data is None:
        raise IsolationError("The workspace has no place for managed data.")
    if config.volumes_dir is not None:
        return config.volumes_dir / workspace.data.id
    return config.state_dir / "data" / str(workspace.id)


async def mount(config: Config, workspace: Workspace) -> Path:
    """Make the workspace's data available on this VM; nothing to do where they are.

    A volume on which nothing was ever written gets a file system; one with anything else on it is left as it is.

    Raises:
        IsolationError: there is no volume, it is not attached, or cannot be used; says why.
    """
    place = place_of(config, workspace)
    if config.volumes_dir is not None:
        if not place.is_dir():
            raise IsolationError("The workspace's data are not attached to this VM. Try again.")
        return place
    async with _one_at_a_time:
        if place.is_mount():
            return place
        device = await asyncio.to_thread(_appeared, _device(workspace))
        if is_blank(device):
            await run("mkfs.ext4", "-q", "-m", "1", str(device))
        place.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        place.mkdir(mode=0o711, exist_ok=True)
        await run("mount", "-t", "ext4", "-o", "nosuid,nodev,noatime", str(device), str(place))
        # What the disk itself says of its top may be the word of a root on its last VM (THREATS H5).
        os.chown(place, os.geteuid(), os.getegid())
        place.chmod(0o711)
    return place


async def unmount(config: Config, workspace: Workspace) -> None:
    """Let go of the data, written out to the last byte.

    Raises:
        IsolationError: somebody still uses them.
    """
    if workspace.data is None or config.volumes_dir is not None:
        return
    place = place_of(config, workspace)
    async with _one_at_a_time:
        if place.is_mount():
            await run("umount", str(place))
        with contextlib.suppress(FileNotFoundError):
            place.rmdir()


def is_blank(device: Path) -> bool:
    """Whether nothing was ever written to the device; False where it has the file system we make.

    Raises:
        IsolationError: something else is on it, or it cannot be read.
    """
    try:
        with device.open("rb") as opened:
            start = opened.read(LOOKED_AT_BYTES)
    except OSError as error:
        raise IsolationError(f"The workspace's data cannot be read: {error.strerror}.") from None
    if start[MAGIC_AT : MAGIC_AT + len(MAGIC)] == MAGIC:
        return False
    if start.strip(b"\0"):
        raise IsolationError(
            "The workspace's volume holds something that is no file system of ours; it is left untouched. Ask support."
        )
    return True


def _appeared(link: Path) -> Path:
    """The device, as soon as the kernel shows it."""
    deadline = time.monotonic() + APPEARS_WITHIN_S
    while not link.exists():
        if time.monotonic() > deadline:
            raise IsolationError("The workspace's data are not attached to this VM. Try again.")
        time.sleep(0.2)
    return link.resolve()
