"""Order among commands: those of one workspace and lane run one after the other, and some end others."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from envforge_daemon.parts import Doing


@dataclass(eq=False)
class _Running:
    kind: str
    task: "asyncio.Task[object]"


@dataclass
class _Workspace:
    locks: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    running: set[_Running] = field(default_factory=set)


class Interrupted(Exception):
    """A later command of the workspace ended this one."""


class Lanes:
    """The lanes of all workspaces."""

    def __init__(self) -> None:
        self._workspaces: defaultdict[UUID, _Workspace] = defaultdict(_Workspace)
        self._interrupted: set[asyncio.Task[object]] = set()

    @asynccontextmanager
    async def entered(self, workspace_id: UUID, doing: Doing) -> AsyncIterator[None]:
        """The body runs when it is this command's turn.

        Raises:
            Interrupted: another command ended it, waiting or running.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("commands run in tasks")
        workspace = self._workspaces[workspace_id]
        for other in workspace.running:
            if other.kind in doing.interrupts:
                self._interrupted.add(other.task)
                other.task.cancel()
        own = _Running(doing.kind, task)
        workspace.running.add(own)
        try:
            if doing.lane is None:
                # Those it ended are waited for, so that it finds nothing of theirs half done.
                await self._gone(workspace, doing)
                yield
            else:
                async with workspace.locks[doing.lane]:
                    await self._gone(workspace, doing)
                    yield
        except asyncio.CancelledError:
            if task in self._interrupted:
                task.uncancel()
                raise Interrupted from None
            raise
        finally:
            self._interrupted.discard(task)
            workspace.running.discard(own)
            if not workspace.running:
                self._workspaces.pop(workspace_id, None)

    @staticmethod
    async def _gone(workspace: _Workspace, doing: Doing) -> None:
        while any(other.kind in doing.interrupts for other in workspace.running):  # noqa: ASYNC110 - rare and short
            await asyncio.sleep(0.02)
