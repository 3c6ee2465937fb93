"""Taking a workspace off this VM, files deleted by the accounts that own them (THREATS H2)."""

import contextlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from envforge_daemon.errors import IsolationError
from envforge_daemon.isolation import network, scratch
from envforge_daemon.isolation.accounts import SHELL, Account, private_directory
from envforge_daemon.isolation.data import DataPlace
from envforge_protocol.host.reports import Wall

if TYPE_CHECKING:
    from envforge_daemon.isolation.workspace import Workspace

DELETING_S = 600.0
PASSES = 3


async def remove(
    workspace: "Workspace", *, delete_files: bool, data: DataPlace | None, delete_resources: Sequence[str]
) -> int:
    """`Workspace.remove`."""
    ended = await workspace.kill_all()
    if data is not None:
        for name in delete_resources:
            await remove_data(workspace, data, name)
    owners = workspace.accounts if Wall.ACCOUNTS in workspace.walls else workspace.accounts[:1]
    if workspace.directory.is_dir():
        if delete_files:
            await _clear(workspace, str(workspace.inside), owners)
        for account in owners if Wall.ACCOUNTS in workspace.walls else ():
            await _remove_private(workspace, account)
        # Where it is mounted on, it goes with the mount.
        if delete_files and not workspace.directory.is_mount():
            workspace.directory.rmdir()
    ended += await workspace.kill_all()
    await scratch.detach(workspace.config, workspace.uid)
    workspace.group("").remove()
    if Wall.NAMESPACES in workspace.walls:
        await network.remove(workspace.config, workspace.uid)
    shutil.rmtree(workspace.run_dir, ignore_errors=True)
    return ended


async def _remove_private(workspace: "Workspace", account: Account) -> None:
    private = private_directory(workspace.config, account)
    # The home first: it is entered with the account's /tmp in place.
    for name, inside in (("home", str(account.home)), ("tmp", "/tmp")):  # noqa: S108 - its own
        if not (private / name).is_dir() or (name == "home" and account.number == SHELL):
            continue
        if any((private / name).iterdir()):
            await _clear(workspace, inside, (account,))
    for name in ("home", "tmp"):
        with contextlib.suppress(FileNotFoundError):
            (private / name).rmdir()
    with contextlib.suppress(FileNotFoundError):
        private.rmdir()


async def remove_data(workspace: "Workspace", data: DataPlace, name: str) -> None:
    """Delete a resource's data as the account it belongs to, and forget its credentials. It must not run.

    Raises:
        IsolationError: something remains.
    """
    directory = data.directory(name)
    if directory.is_dir():
        owner = directory.lstat().st_uid - workspace.uid
        if Wall.ACCOUNTS not in workspace.walls:
            owner = SHELL
        if not 0 <= owner < len(workspace.accounts):
            raise IsolationError(f"The data of {name} belongs to none of the workspace's accounts.")
        if any(directory.iterdir()):
            inside = str(workspace.data_inside(directory))
            await _clear(workspace, inside, (workspace.accounts[owner],), data=directory)
    data.forget(name)


async def _clear(
    workspace: "Workspace", directory: str, who: Sequence[Account], *, data: Path | None = None
) -> None:
    """Delete all below a directory: each account what is its own, until nothing is left."""
    for _ in range(PASSES):
        for account in who:
            ran = await workspace.run(
                ("clear",),
                own_program="files.py",
                account=account.number,
                directory=directory,
                group="files",
                timeout_s=DELETING_S,
                network="vm",
                data=data,
            )
            if ran.exit_status == 0:
                return
    raise IsolationError(f"Files remain in {directory}, which none of the workspace's accounts may delete.")
