"""What apps above are told when somebody lost access here without leaving: a role, or a program's last token (I4).

They end what the access had let people hold: a shell certificate, say. Suspension and removal of a member are told by
`orgs.offboarding`. Listeners are called inside the transaction that takes the access.
"""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from envforge import tenancy
from envforge.actor import Actor
from envforge.errors import NotVisible
from orgs.models import Organization


@dataclass(frozen=True, slots=True)
class Narrowed:
    """Whose access became less, by whose act; of `everything` nothing is left, else what is left is to be asked of the policy.

    `holder_id` is the person's id, or the service account's.
    """

    actor: Actor
    holder_id: UUID
    cause: str
    everything: bool = False


Listener = Callable[[Narrowed], None]
_listeners: list[Listener] = []


def on_access_narrowed(listener: Listener) -> None:
    """Register who ends what access had let people hold, from `AppConfig.ready`."""
    _listeners.append(listener)


def tell_narrowed(narrowed: Narrowed) -> None:
    """Tell every listener, in the caller's transaction."""
    for listener in _listeners:
        listener(narrowed)


def locked_organization() -> Organization:
    """The entered organization, locked: the first lock of its transaction (docs/decisions/0009-wakes.md).

    Other rows may be made meanwhile. Each of them names the organization, so a lock of its key would wait for whoever
    makes them; and they may hold a workspace or a VM that the caller wants next.

    Raises:
        NotVisible: it is gone.
    """
    found = Organization.objects.select_for_update(no_key=True).filter(id=tenancy.current_org()).first()
    if found is None:
        raise NotVisible
    return found


def hold_access() -> None:
    """Let nobody's access in the entered organization be taken before this transaction ends.

    For what is handed out on the strength of it: whoever takes the access afterwards finds it and ends it. Everything
    that takes access locks the organization first, so this must be the caller's first lock.
    """
    locked_organization()
