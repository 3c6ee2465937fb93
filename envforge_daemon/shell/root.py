"""Root windows on a VM that one workspace has to itself (R3, THREATS H5).

A window is a sudoers file that only its own sessions' views hold, with NOTBEFORE, NOTAFTER and TIMEOUT of sudo's own, and a
group of sessions that may use it. Several may be open; each ends alone. The VM ends both by its own clock, with the control
plane or without, and after a restart of the program. A hostile root can defeat that; replacing the VM ends it.
"""

import asyncio
import logging
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from envforge_daemon.errors import CommandFailed, DaemonError, IsolationError
from envforge_daemon.isolation import SHELL, Wall, Workspace
from envforge_daemon.isolation.programs import run
from envforge_daemon.parts import Context
from envforge_daemon.shell.sessions import Grant
from envforge_daemon.state import Documents
from envforge_protocol.host import workspaces as wire
from envforge_protocol.host.commands import GrantRoot
from envforge_protocol.host.reports import RootEnded

log = logging.getLogger("envforge_daemon")

LONGEST_S = 24 * 3600.0
LOOKED_AT_EVERY_S = 0.25
# TIMEOUT is what is left of the window; it is written anew as that shrinks.
WRITTEN_EVERY_S = 60.0


@dataclass(frozen=True)
class Window:
    """A grant; `written_at` is when its file was last written, None before it began."""

    workspace: wire.Workspace
    request_id: UUID
    not_before: datetime
    until: datetime
    written_at: datetime | None = None

    def grant(self, workspace: Workspace) -> Grant:
        """Its file, and its sessions."""
        name = self.request_id.hex
        return Grant(workspace.run_dir / f"sudoers-{name}", f"root-{name}")


class Windows:
    """The windows of this VM: one workspace's at most."""

    def __init__(self, context: Context, documents: Documents) -> None:
        self._context = context
        self._documents = documents
        self._windows: dict[UUID, Window] = {}
        self._lock = asyncio.Lock()
        for name in documents.names():
            window = _window(documents.read(name))
            if window is not None:
                self._windows[window.request_id] = window

    def grant_of(self, workspace: Workspace) -> Grant | None:
        """What a shell that begins now is given: of several open windows the one that ends last."""
        now = datetime.now(UTC)
        found = [
            w
            for w in self._windows.values()
            if w.workspace.id == workspace.id and w.written_at is not None and w.not_before <= now < w.until
        ]
        return max(found, key=lambda w: w.until).grant(workspace) if found else None

    async def grant(self, asked: GrantRoot, workspace: Workspace, *, alone: bool) -> None:
        """Open a window, now or when it begins; asked again, it is the same window.

        Raises:
            CommandFailed: this VM may not, or cannot.
        """
        config = self._context.config
        if config.dedicated_to != asked.workspace.id or not alone:
            raise CommandFailed(
                "not_dedicated", "This VM is not the workspace's alone; nobody becomes root on it."
            )
        if asked.workspace.storage.kind == "file_system":
            # Who is root here could mount all of it: the network admits this VM, and NFS believes it.
            raise CommandFailed(
                "shared_files",
                "Root cannot be granted: this workspace's files lie on a file system with those of the organization's other workspaces.",
            )
        walls = workspace.walls
        if Wall.ACCOUNTS not in walls or Wall.PRIVATE_VIEW not in walls:
            raise CommandFailed(
                "not_possible", "Root cannot be granted where accounts and files are not kept apart."
            )
        if not all(shutil.which(name, path="/usr/bin:/usr/sbin") for name in ("sudo", "visudo")):
            raise CommandFailed("no_sudo", "sudo is not installed on this VM; replace it by a newer image.")
        now = datetime.now(UTC)
        if asked.until <= now:
            raise CommandFailed("over", "The root window is over already.")
        if (asked.until - max(now, asked.not_before)).total_seconds() > LONGEST_S:
            raise CommandFailed("too_long", "A root window may last for 24 hours at most.")
        window = Window(asked.workspace, asked.request_id, asked.not_before, asked.until)
        async with self._lock:
            # Kept before anything is opened: whatever happens next, its end is known.
            await self._documents.write(str(window.request_id), _document(window))
            self._windows[window.request_id] = window
            try:
                await self._open(window, workspace)
            except DaemonError:
                await self._close(window, "")
                raise

    async def drop(self, workspace_id: UUID, request_id: UUID | None = None) -> int:
        """Close a workspace's windows, or this one; how many processes that ended."""
        ended = 0
        async with self._lock:
            for window in list(self._windows.values()):
                if window.workspace.id == workspace_id and request_id in (None, window.request_id):
                    ended += await self._close(window, "dropped")
        return ended

    async def keep(self) -> None:
        """Begin and end windows on time, for as long as the program runs."""
        while True:
            await self.tick()
            await asyncio.sleep(LOOKED_AT_EVERY_S)

    async def tick(self) -> None:
        """What is due now."""
        async with self._lock:
            now = datetime.now(UTC)
            for window in list(self._windows.values()):
                try:
                    if now >= window.until:
                        await self._close(window, "expired")
                    elif now >= window.not_before and (
                        window.written_at is None
                        or (now - window.written_at).total_seconds() >= WRITTEN_EVERY_S
                    ):
                        workspace = self._context.workspaces.get(window.workspace.id)
                        if workspace is not None:
                            await self._open(window, workspace)
                except (DaemonError, OSError) as error:
                    # Tried again at the next look; the file ends by its own NOTAFTER.
                    log.error("a root window could not be kept: %s", error)  # noqa: TRY400

    async def _open(self, window: Window, workspace: Workspace) -> None:
        now = datetime.now(UTC)
        if now < window.not_before:
            return
        left = max(1, int((window.until - now).total_seconds()))
        name = workspace.account(SHELL).name
        # Accounts are known inside the workspace's view alone, where no password of theirs exists for PAM to look at.
        text = (
            'Defaults env_reset, !lecture, !pam_acct_mgmt, secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"\n'
            "root ALL=(ALL:ALL) ALL\n"
            f"{name} ALL=(root) NOTBEFORE={_time(window.not_before)} NOTAFTER={_time(window.until)} "
            f"TIMEOUT={left}s NOPASSWD: ALL\n"
        )
        file = window.grant(workspace).sudoers
        checked = file.with_name(f"{file.name}.new")
        _put(checked, text)
        try:
            await run("visudo", "-cqf", str(checked))
        except IsolationError:
            raise CommandFailed(
                "bad_sudoers", "sudo refuses the grant's rule; nothing was granted."
            ) from None
        finally:
            checked.unlink(missing_ok=True)
        # In place: shells that run see the same file.
        _put(file, text)
        self._windows[window.request_id] = replace(window, written_at=now)

    async def _close(self, window: Window, cause: Any) -> int:
        workspace = Workspace(self._context.config, self._context.workspaces.walls, window.workspace)
        grant = window.grant(workspace)
        file = grant.sudoers
        if file.exists():
            # Emptied first: who holds it open or in view has an empty one.
            _put(file, "")
            file.unlink()
        ended = await workspace.kill_all(f"{grant.sessions}-*")
        if cause:
            await self._context.outbox.add(
                RootEnded(workspace_id=window.workspace.id, request_id=window.request_id, cause=cause)
            )
        self._documents.remove(str(window.request_id))
        self._windows.pop(window.request_id, None)
        return ended


def _put(file: Path, text: str) -> None:
    file.touch(mode=0o440)
    file.write_text(text)
    file.chmod(0o440)


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y%m%d%H%M%SZ")


def _document(window: Window) -> dict[str, Any]:
    return {
        "workspace": window.workspace.model_dump(mode="json"),
        "request_id": str(window.request_id),
        "not_before": window.not_before.isoformat(),
        "until": window.until.isoformat(),
    }


def _window(document: Any) -> Window | None:
    try:
        return Window(
            wire.Workspace.model_validate(document["workspace"]),
            UUID(document["request_id"]),
            datetime.fromisoformat(document["not_before"]),
            datetime.fromisoformat(document["until"]),
        )
    except (ValidationError, KeyError, TypeError, ValueError):
        return None
