"""Who hears that a sign-in ended, or that a member lost a role, so that what hangs on it ends in the same commit (I3, L8).

Registered from `AppConfig.ready` by the apps above.
"""

from collections.abc import Callable
from uuid import UUID

# Told the console session's id, inside the transaction that ends it; an organization may be entered, or none.
SignInEnded = Callable[[UUID], None]
# Told the person's id, inside the organization and transaction in which they lost a role.
RoleLost = Callable[[UUID], None]

_sign_ins: list[SignInEnded] = []
_roles: list[RoleLost] = []


def on_sign_in_ended(listener: SignInEnded) -> None:
    """Register what is told of each console session that ends, whatever ended it."""
    _sign_ins.append(listener)


def on_role_lost(listener: RoleLost) -> None:
    """Register what is told when a role is taken from a member who stays one."""
    _roles.append(listener)


def sign_in_ended(session_id: UUID) -> None:
    for listener in _sign_ins:
        listener(session_id)


def role_lost(person_id: UUID) -> None:
    for listener in _roles:
        listener(person_id)
