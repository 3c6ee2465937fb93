"""Which version of the protocol is spoken (docs/host-protocol.md)."""

from envforge_protocol.host.base import OLDEST_PROTOCOL, PROTOCOL
from hosts.errors import HostRefusal


class VersionNotSpoken(HostRefusal):
    """A version that is not understood; `instruction` says what to do about it."""

    status = 426
    title = "Another protocol version is needed"

    def __init__(self, instruction: str, detail: str) -> None:
        super().__init__("protocol", detail)
        self.instruction = instruction


def spoken(header: str, *, oldest: int = OLDEST_PROTOCOL, newest: int = PROTOCOL) -> int:
    """The version a daemon names in `EnvForge-Protocol`, if it is one that is understood.

    Raises:
        VersionNotSpoken: `upgrade` where it is too old (or none is named), `speak` where it is newer than ours: a daemon
            understands some earlier versions too, and goes on with the newest of both.
    """
    version = int(header) if header.isascii() and header.isdigit() and len(header) <= 4 else 0
    if version < oldest:
        raise VersionNotSpoken(
            "upgrade",
            f"Versions {oldest} to {newest} are understood here. Replace this daemon by a newer one.",
        )
    if version > newest:
        raise VersionNotSpoken("speak", f"Versions {oldest} to {newest} are understood here. Speak {newest}.")
    return version
