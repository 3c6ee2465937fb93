"""What of a workspace other apps have to remove before it is gone for good (W12): a registry, filled from `AppConfig.ready`."""

from collections.abc import Callable
from uuid import UUID

from envforge.errors import EnvForgeError

# Removes what the app keeps of a workspace; answers how many things that were. Called outside of any transaction, perhaps again.
Remover = Callable[[UUID, UUID], int]

_removers: dict[str, Remover] = {}


class NotYet(EnvForgeError):
    """Raised by a remover: some of it is still there; it is asked again later."""


def remove_with(name: str, remover: Remover) -> None:
    """Register what removes an app's part, such as devices of a private network."""
    if _removers.setdefault(name, remover) is not remover:
        raise ValueError(f"{name} removes its part already.")


def remove_parts(org_id: UUID, workspace_id: UUID) -> int:
    """Have every app remove its part; answers how many things that were."""
    return sum(remover(org_id, workspace_id) for remover in _removers.values())
