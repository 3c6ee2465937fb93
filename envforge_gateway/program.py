"""One gateway process, from its first socket to its last."""

import asyncio
import gc
import socket
from contextlib import suppress

from envforge_gateway import VERSION
from envforge_gateway.activity import Activity
from envforge_gateway.admin import Admin
from envforge_gateway.clock import now
from envforge_gateway.config import Config, address, family
from envforge_gateway.control_plane import ControlPlane
from envforge_gateway.errors import GatewayError
from envforge_gateway.gateway import Gateway
from envforge_gateway.logs import Log, logger
from envforge_gateway.stream import Stream
from envforge_protocol.gateway.activity import ACTIVITY_EVERY_S

BACKLOG = 2048
WATCH_EVERY_S = 0.1
TIDY_EVERY_S = 10.0
STOOD_STILL_S = 1.0
# Asked after a minute of silence, and given up two minutes after that.
KEEP_ALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 30, "TCP_KEEPCNT": 4}
COLLECT_AFTER = (20_000, 20, 20)


class Program:
    """Listens, follows the control plane, and ends in order."""

    def __init__(
        self, config: Config, *, number: int = 0, activity_every_s: float = ACTIVITY_EVERY_S
    ) -> None:
        self._config = config
        self._number = number
        self._name = f"{config.name}.{number}"
        self._activity_every_s = activity_every_s
        self.ending = asyncio.Event()
        self.listening = asyncio.Event()
        self._broken = ""
        self.drain_s = config.drain_s
        self.address: tuple[str, int] = ("", 0)
        self.admin_address: tuple[str, int] = ("", 0)
        self.gateway: Gateway

    async def run(self) -> None:
        """Serve until `ending` is set, then drain.

        Raises:
            GatewayError: a fault of the program ended it.
        """
        log = logger(self._name)
        # Requests leave no cycles behind; looking for some among a hundred thousand sessions is seldom worth while.
        gc.set_threshold(*COLLECT_AFTER)
        async with ControlPlane(
            self._config.api_url, version=VERSION, timeout_s=self._config.api_timeout_s
        ) as control:
            self.gateway = gateway = Gateway(self._config, control, log)
            stream = Stream(gateway, self._name, self._asked_to_drain)
            loop = asyncio.get_running_loop()
            # A reference is kept to both: uvloop's server without one stops accepting.
            server = await loop.create_server(
                gateway.connection, sock=_socket(self._config.listen, shared=True), backlog=BACKLOG
            )
            admin = await self._admin(gateway)
            self.address = server.sockets[0].getsockname()[:2]
            self.admin_address = admin.sockets[0].getsockname()[:2]
            beside = [
                asyncio.create_task(stream.run(), name="stream"),
                asyncio.create_task(self._watch(gateway), name="watch"),
                asyncio.create_task(self._count(gateway.activity), name="count"),
            ]
            for task in beside:
                task.add_done_callback(lambda done: self._over(done, log))
            log("listening", address=self.address[0], port=self.address[1])
            self.listening.set()
            try:
                await self.ending.wait()
                server.close()
                await self._drain(gateway)
                await gateway.activity.flush(everything=True)
                await stream.leave()
            finally:
                server.close()
                admin.close()
                for task in beside:
                    task.cancel()
                await asyncio.gather(*beside, return_exceptions=True)
                gateway.cache.cut_all()
                await gateway.close_what_is_cut()
                for front in list(gateway.fronts):
                    front.abort()
                gateway.pools.withdraw_all()
                await gateway.ended()
                await asyncio.sleep(0)
            log("ended")
        if self._broken:
            raise GatewayError(f"The gateway ended by a fault of its own ({self._broken}).")

    def _over(self, task: asyncio.Task[None], log: Log) -> None:
        """Without one of them the process would go on, and cut nothing that is to be cut: it ends, and is started anew."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._broken = f"{task.get_name()}: {type(error).__name__}"
            log("broken", task=task.get_name(), error=type(error).__name__)
            self.ending.set()

    async def _admin(self, gateway: Gateway) -> asyncio.Server:
        host, port = address(self._config.admin_listen)
        held = socket.socket(family(host), socket.SOCK_STREAM)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Each process has its own, one after the other.
        held.bind((host, port + self._number if port else 0))
        return await asyncio.start_server(Admin(gateway).answer, sock=held)

    def _asked_to_drain(self, within_s: int) -> None:
        self.drain_s = min(self.drain_s, within_s)
        self.ending.set()

    async def _drain(self, gateway: Gateway) -> None:
        """Let what is under way finish; then cut it. The stream of events goes on until then."""
        gateway.log("draining", connections=len(gateway.fronts))
        gateway.say_goodbye()
        deadline = now() + self.drain_s
        while gateway.fronts and now() < deadline:  # noqa: ASYNC110 - connections end by callbacks, thousands of them
            await asyncio.sleep(0.05)
        cut = gateway.cache.cut_all()
        await gateway.close_what_is_cut()
        gateway.log("drained", cut=cut)

    async def _watch(self, gateway: Gateway) -> None:
        """Ends what has lost its lease or its time, and notices when the process stood still."""
        last = now()
        tidied = last
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            clock = now()
            if clock - last > STOOD_STILL_S:
                # Freshness counts this time as well; within the grace nothing is lost by it.
                gateway.log("stood.still", seconds=round(clock - last, 1))
            last = clock
            gateway.metrics.connections_cut += gateway.cache.expire()
            if not gateway.freshness.may_stay_open and gateway.cache.open:
                cut = gateway.cache.cut_all()
                gateway.metrics.connections_cut += cut
                gateway.log("lease.lapsed", cut=cut)
            await gateway.close_what_is_cut()
            if clock - tidied > TIDY_EVERY_S:
                tidied = clock
                gateway.pools.tidy()
                gateway.waker.tidy()

    async def _count(self, activity: Activity) -> None:
        while True:
            await asyncio.sleep(self._activity_every_s)
            with suppress(Exception):
                await activity.flush()


def _socket(listen: str, *, shared: bool) -> socket.socket:
    host, port = address(listen)
    held = socket.socket(family(host), socket.SOCK_STREAM)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared and hasattr(socket, "SO_REUSEPORT"):
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    # Each connection inherits these: of a client that vanished without a word an idle WebSocket would be open for hours.
    held.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, seconds in KEEP_ALIVE.items():
        held.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)
    held.bind((host, port))
    held.setblocking(False)
    return held
