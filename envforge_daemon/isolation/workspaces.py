"""The workspaces of this VM."""

import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from uuid import UUID

from envforge_daemon import storage, volumes
from envforge_daemon.config import Config
from envforge_daemon.errors import IsolationError
from envforge_daemon.isolation.data import DataPlace
from envforge_daemon.isolation.walls import Walls
from envforge_daemon.isolation.workspace import Workspace
from envforge_daemon.locks import Locks
from envforge_protocol.host import workspaces as wire


class Workspaces:
    """Those that were ensured since the program started, by id."""

    def __init__(self, config: Config, walls: Walls) -> None:
        self.config = config
        self.walls = walls
        self._known: dict[UUID, Workspace] = {}
        # Told before a workspace is taken off the VM.
        self.leaving: list[Callable[[wire.Workspace], Awaitable[None]]] = []
        self._locks = Locks()

    def __iter__(self) -> Iterator[Workspace]:
        return iter(list(self._known.values()))

    def get(self, workspace_id: UUID) -> Workspace | None:
        """One that was ensured."""
        return self._known.get(workspace_id)

    async def ensure(self, workspace: wire.Workspace) -> Workspace:
        """Mount its files, build its walls, prove them, and return it; concurrent calls are one, repeated ones cost little.

        Raises:
            IsolationError: its files cannot be mounted; a wall could not be built or does not hold.
        """
        async with self._locks.held(workspace.id):
            known = self._known.get(workspace.id)
            if known is not None and known.wire == workspace:
                return known
            for other in self._known.values():
                if other.id != workspace.id and abs(other.uid - workspace.uid) < wire.ACCOUNTS_PER_WORKSPACE:
                    raise IsolationError("The workspace's accounts overlap those of another one on this VM.")
            await storage.attach(self.config, workspace)
            made = Workspace(self.config, self.walls, workspace)
            await made.ensure()
            self._known[workspace.id] = made
            return made

    async def remove(
        self, workspace: wire.Workspace, *, delete_files: bool = False, delete_resources: Sequence[str] = ()
    ) -> int:
        """End everything of it on this VM; how many processes that were. Works for one that was never ensured, too."""
        async with self._locks.held(workspace.id):
            for tell in self.leaving:
                await tell(workspace)
            if delete_files:
                # What lies elsewhere is deleted here, though the workspace was perhaps never prepared since the program started.
                await storage.attach(self.config, workspace, make=False)
            known = self._known.get(workspace.id) or Workspace(self.config, self.walls, workspace)
            data = DataPlace(await volumes.mount(self.config, workspace)) if delete_resources else None
            ended = await known.remove(
                delete_files=delete_files, data=data, delete_resources=delete_resources
            )
            await volumes.unmount(self.config, workspace)
            await storage.detach(self.config, workspace, for_good=delete_files)
            self._known.pop(workspace.id, None)
            return ended

    async def prove_again(self) -> None:
        """Probe the firewall of each once more, after its table was replaced.

        Raises:
            IsolationError: it does not hold.
        """
        for workspace in list(self._known.values()):
            with contextlib.suppress(ProcessLookupError):
                await workspace.prove()
