"""Which workspaces have a shell on this VM, and who may come in; survives the program's end."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from envforge_daemon.state import Documents
from envforge_protocol.host import workspaces as wire
from envforge_protocol.host.runtimes import Limits


@dataclass(frozen=True)
class Door:
    """One workspace's way in: the authority whose certificates count (OpenSSH's one line), and the serials that do not."""

    workspace: wire.Workspace
    authority: str
    limits: Limits | None = None
    revoked: frozenset[int] = frozenset()


class Known:
    """All doors, by workspace."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._doors: dict[UUID, Door] = {}
        for name in documents.names():
            door = _door(documents.read(name))
            if door is not None:
                self._doors[door.workspace.id] = door

    def __iter__(self) -> Any:
        return iter(list(self._doors.values()))

    def get(self, workspace_id: UUID) -> Door | None:
        """A workspace's door, if it has one here."""
        return self._doors.get(workspace_id)

    async def set(self, door: Door) -> None:
        """Keep a door, in place of the workspace's earlier one."""
        document = {
            "workspace": door.workspace.model_dump(mode="json"),
            "authority": door.authority,
            "limits": door.limits.model_dump(mode="json") if door.limits else None,
            "revoked": sorted(door.revoked),
        }
        await self._documents.write(str(door.workspace.id), document)
        self._doors[door.workspace.id] = door

    def forget(self, workspace_id: UUID) -> None:
        """The workspace has no shell here any more."""
        self._doors.pop(workspace_id, None)
        self._documents.remove(str(workspace_id))


def _door(document: Any) -> Door | None:
    try:
        return Door(
            wire.Workspace.model_validate(document["workspace"]),
            str(document["authority"]),
            Limits.model_validate(document["limits"]) if document["limits"] else None,
            frozenset(int(serial) for serial in document["revoked"]),
        )
    except (ValidationError, KeyError, TypeError, ValueError):
        return None
