"""What other apps do when a workspace is let go, and before it is gone for good (W12): registries, filled from `AppConfig.ready`."""

from collections.abc import Callable
from uuid import UUID

from envforge.errors import EnvForgeError
from workspaces.models import Workspace

# Removes what the app keeps of a workspace; answers how many things that were. Called outside of any transaction, perhaps again.
Remover = Callable[[UUID, UUID], int]

_removers: dict[str, Remover] = {}
# Told of a locked workspace in the transaction that archives or deletes it, with the word for that.
Listener = Callable[[Workspace, str], None]

_listeners: list[Listener] = []


class NotYet(EnvForgeError):
    """Raised by a remover: some of it is still there; it is asked again later."""


def remove_with(name: str, remover: Remover) -> None:
    """Register what removes an app's part, such as devices of a private network."""
    if _removers.setdefault(name, remover) is not remover:
        raise ValueError(f"{name} removes its part already.")


def on_let_go(listener: Listener) -> None:
    """Register what ends an app's ways into a workspace that is archived or deleted."""
    _listeners.append(listener)


def tell_let_go(workspace: Workspace, cause: str) -> None:
    """In the transaction that archives or deletes a locked workspace."""
    for listener in _listeners:
        listener(workspace, cause)


def remove_parts(org_id: UUID, workspace_id: UUID) -> int:
    """Have every app remove its part; answers how many things that were."""
    return sum(remover(org_id, workspace_id) for remover in _removers.values())
