"""Two ends whose bytes pass on until either is gone, and neither faster than the other takes them."""

from typing import TYPE_CHECKING

from envforge_gateway.cache import Entry
from envforge_gateway.upstream import Upstream

if TYPE_CHECKING:
    from envforge_gateway.front import Front
    from envforge_gateway.gateway import Gateway


class Joined:
    """What a tunnel and a relay have in common: their ends, their place in the registry, and back-pressure."""

    __slots__ = ("_entry", "_front", "_gateway", "_over", "_upstream")

    def __init__(self, gateway: "Gateway", front: "Front", upstream: Upstream, entry: Entry) -> None:
        self._gateway = gateway
        self._front = front
        self._upstream = upstream
        self._entry = entry
        self._over = False

    def shut(self) -> None:
        """Nothing more for the client."""
        self._front.shut()

    def client_full(self) -> None:
        if not self._upstream.closed:
            self._upstream.transport.pause_reading()

    def client_drained(self) -> None:
        if not self._upstream.closed:
            self._upstream.transport.resume_reading()

    def upstream_full(self) -> None:
        self._front.pause_reading()

    def upstream_drained(self) -> None:
        self._front.resume_reading()
