"""Who hears that a sign-in ended, so that what hangs on it ends in the same commit (I3, L8).

Registered from `AppConfig.ready` by the apps above.
"""

from collections.abc import Callable
from uuid import UUID

# Told the console session's id, inside the transaction that ends it; an organization may be entered, or none.
SignInEnded = Callable[[UUID], None]

_sign_ins: list[SignInEnded] = []


def on_sign_in_ended(listener: SignInEnded) -> None:
    """Register what is told of each console session that ends, whatever ended it."""
    _sign_ins.append(listener)


def sign_in_ended(session_id: UUID) -> None:
    for listener in _sign_ins:
        listener(session_id)
