"""What an identity provider says of a person, and how a sign-in is refused (I1, N2)."""

from dataclasses import dataclass
from typing import ClassVar

from envforge.errors import EnvForgeError
from envforge_protocol.credentials import credential_in

MAX_NAME_LENGTH = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Somebody the issuer vouches for; `name` is one readable line, whatever the issuer sent."""

    issuer: str
    subject: str
    email: str
    email_verified: bool
    name: str


class SignInRefused(EnvForgeError):
    """This sign-in does not come about; `reason` is a word of `audit.facts.WORD` that the sign-in page explains."""

    status: ClassVar[int] = 403
    title: ClassVar[str] = "You are not signed in"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The sign-in was refused: {reason}.")
        self.reason = reason


def readable_name(*candidates: object) -> str:
    """The first candidate that can stand in a page and in an event, shortened to one line."""
    for candidate in candidates:
        if not isinstance(candidate, str):
            continue
        printable = "".join(letter if letter.isprintable() else " " for letter in candidate)
        name = " ".join(printable.split())[:MAX_NAME_LENGTH].strip()
        if name and not credential_in(name):
            return name
    return "Somebody without a name"
