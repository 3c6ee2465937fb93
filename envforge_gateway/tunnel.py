"""An open WebSocket: bytes pass as they are, frame headers are counted, and a purge ends it."""

from typing import TYPE_CHECKING

from envforge_gateway.cache import Entry
from envforge_gateway.frames import Frames, close_frame
from envforge_gateway.joined import Joined
from envforge_gateway.upstream import Upstream

if TYPE_CHECKING:
    from envforge_gateway.front import Front
    from envforge_gateway.gateway import Gateway

GOING_AWAY = 1001


class Tunnel(Joined):
    """Both ends of one WebSocket, registered under its session until either end is gone."""

    __slots__ = ("_from_client", "_from_service", "_leaving")

    def __init__(self, gateway: "Gateway", front: "Front", upstream: Upstream, entry: Entry) -> None:
        super().__init__(gateway, front, upstream, entry)
        self._from_client = Frames()
        self._from_service = Frames()
        self._leaving = False
        gateway.tunnels.add(self)

    def client_data(self, data: bytes) -> None:
        if self._over:
            return
        if not self._gateway.freshness.may_stay_open:
            self.cut()
            return
        frames = self._from_client
        before, pings = frames.data, frames.control
        frames.feed(data)
        if frames.data != before or frames.control != pings:
            self._gateway.activity.frames(self._entry, frames.data - before, frames.control - pings)
        if not self._upstream.closed:
            self._upstream.transport.write(data)

    def upstream_data(self, data: bytes) -> None:
        if self._over:
            return
        if not self._gateway.freshness.may_stay_open:
            self.cut()
            return
        if self._leaving:
            # The frame that was under way when the end was announced is finished, and nothing after it.
            self._finish_frame(data)
            return
        self._from_service.feed(data)
        self._front.send(data)

    def leave(self) -> None:
        """Tell the client that this process is going away; between two frames, or after the one that is under way."""
        if self._leaving or self._over:
            return
        self._leaving = True
        if self._from_service.between:
            self._announce()

    def _finish_frame(self, data: bytes) -> None:
        left = self._from_service.left
        if left is None:
            self.cut()
        elif left > len(data):
            self._from_service.feed(data)
            self._front.send(data)
        else:
            self._front.send(data[:left])
            self._announce()

    def _announce(self) -> None:
        self._front.send(close_frame(GOING_AWAY))
        self._end()
        self._front.close()

    def cut(self) -> None:
        """End both ends at once."""
        if not self._over:
            self._end()
        self._front.abort()

    def _end(self) -> None:
        self._over = True
        self._gateway.tunnels.discard(self)
        self._gateway.cache.closed(self._entry, self)
        self._upstream.close()

    def client_lost(self) -> None:
        if not self._over:
            self._end()

    def client_ended(self) -> None:
        self.client_lost()

    def upstream_lost(self) -> None:
        if not self._over:
            self._end()
            self._front.close()
