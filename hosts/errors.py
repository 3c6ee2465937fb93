"""What VMs are refused; `word` is for their daemon, the sentence for whoever reads its log."""

from typing import ClassVar

from envforge.errors import EnvForgeError


class HostRefusal(EnvForgeError):
    """Base of refusals with a word of their own."""

    def __init__(self, word: str, detail: str) -> None:
        super().__init__(detail)
        self.word = word


class JoinRefused(HostRefusal):
    """The VM is not let in; the word says at which check (H4)."""

    status: ClassVar[int] = 403
    title: ClassVar[str] = "Not let in"


class NotRecognised(HostRefusal):
    """No token, or none that works: join again."""

    status: ClassVar[int] = 401
    title: ClassVar[str] = "Not recognised"

    def __init__(self) -> None:
        super().__init__("token", "This token is unknown, has expired or was ended. Join again.")


class LeaseLost(HostRefusal):
    """The command is no longer this lease's: it was leased again, or is over otherwise."""

    status: ClassVar[int] = 409
    title: ClassVar[str] = "That cannot be done now"

    def __init__(self) -> None:
        super().__init__(
            "lease_lost", "This lease is over. Stop reporting; the command comes again if it is still wanted."
        )


class WrongOffset(HostRefusal):
    """A part of an output that does not follow what is kept."""

    status: ClassVar[int] = 409
    title: ClassVar[str] = "That cannot be done now"

    def __init__(self, next_offset: int) -> None:
        super().__init__("offset", f"{next_offset} bytes are kept; go on from there.")
        self.next_offset = next_offset


class TooMany(HostRefusal):
    """More often than is answered; `wait_s` says when to ask again."""

    status: ClassVar[int] = 429
    title: ClassVar[str] = "Too many requests"

    def __init__(self, wait_s: int) -> None:
        super().__init__(
            "rate", "You ask faster than this address answers. Wait as long as Retry-After says."
        )
        self.wait_s = wait_s
