"""What a workspace may write on the VM's own disk: a file system of fixed size in a file, so that nobody fills the VM's.

Its accounts' /tmp and the services' homes lie there. The file is sparse: it takes what was once written and no more. Only on a
VM of ours (`machine`: "own"); a machine that is shared with its developer's other programs is not mounted on.
"""

import contextlib
import os
from pathlib import Path

from envforge_daemon.config import Config
from envforge_daemon.isolation.programs import run

# A workspace that is full still leaves the others, and the daemon, most of a small disk.
LARGEST_SHARE = 4


def place(config: Config, uid: int) -> Path:
    """Where the directories of a workspace's accounts are; root's alone to write in."""
    return config.state_dir / "accounts" / str(uid)


def _image(config: Config, uid: int) -> Path:
    return config.state_dir / "accounts" / f"{uid}.img"


def size_mib(config: Config) -> int:
    """How much one workspace may have: as configured, and a quarter of the disk at most."""
    found = os.statvfs(config.state_dir)
    return min(config.scratch_mib, (found.f_blocks * found.f_frsize >> 20) // LARGEST_SHARE)


async def attach(config: Config, uid: int) -> None:
    """Make a workspace's file system, or find it, and mount it; again, as often as one likes.

    Raises:
        IsolationError: it cannot be made or mounted; says why.
    """
    if config.machine != "own":
        return
    at, image = place(config, uid), _image(config, uid)
    at.mkdir(mode=0o711, parents=True, exist_ok=True)
    if at.is_mount():
        return
    if not image.exists():
        new = image.with_suffix(".new")
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.truncate(descriptor, size_mib(config) << 20)
        finally:
            os.close(descriptor)
        await run(
            *("mkfs.ext4", "-q", "-m", "0", "-J", "size=4"),
            *("-E", "lazy_itable_init=1,nodiscard,root_owner=0:0", str(new)),
        )
        new.rename(image)
    await run("mount", "-t", "ext4", "-o", "loop,nosuid,nodev,noatime", str(image), str(at))
    at.chmod(0o711)
    with contextlib.suppress(FileNotFoundError):
        (at / "lost+found").rmdir()


async def detach(config: Config, uid: int) -> None:
    """Take it off the VM with all that is in it; nothing of the workspace may run any more.

    Raises:
        IsolationError: somebody still uses it.
    """
    at = place(config, uid)
    if at.is_mount():
        await run("umount", str(at))
    _image(config, uid).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        at.rmdir()
