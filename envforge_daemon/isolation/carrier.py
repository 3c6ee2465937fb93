"""Carries bytes from the VM's ingress ports into one workspace's namespace; a program of its own, so that connections outlive
the daemon.

It lives inside the namespace with listening sockets that were opened outside and handed to it: what it accepts comes from
the gateways, what it connects to is the workspace's loopback. It runs as an account that is neither root nor the
workspace's. Standard library only; started through `enter.py`, with the listening control socket as its one argument.

Requests on the control socket (SOCK_SEQPACKET, one JSON document each, answered by one):
    {"do": "state"}                                     -> {"version", "routes": [[ingress, port, uid]], "connections"}
    {"do": "open", "ingress", "port", "uid", "from"}    with the listening socket -> {}
    {"do": "close", "ingress"}                          -> {"cut"}, its connections too
    {"do": "dial", "port", "uid"}                       -> {} with a connected socket, or {"errno"}
    {"do": "end"}
"""

import array
import asyncio
import contextlib
import errno
import ipaddress
import json
import os
import socket
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

VERSION = 1
LOOPBACKS: tuple[tuple[int, str], ...] = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
DIAL_S = 5.0
MOST_CONNECTIONS = 2048
HIGH_WATER = 256 * 1024
LONGEST_REQUEST = 65536

# Of linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h.
NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, TCP_LISTEN = 4, 20, 1, 10
NLMSG_HEADER = 16
OFFSET_OF_UID = NLMSG_HEADER + 4 + 48 + 12

# Of /proc/net/tcp: addresses as the kernel prints them, and the state of a listening socket.
LISTENING = "0A"
ANSWERING: dict[int, set[str]] = {
    socket.AF_INET: {
        "0100007F",
        "00000000",
        "0" * 32,
        "0000000000000000FFFF00000100007F",
    },
    socket.AF_INET6: {"0" * 32, "00000000000000000000000001000000"},
}


def listeners(family: int, port: int) -> set[int]:
    """The account whose socket answers on a loopback port of this namespace.

    The kernel is asked for the one it would choose itself (sock_diag(7)); /proc/net/tcp, which answers the same, costs some
    milliseconds whatever is in it, and is for kernels without.
    """
    address = socket.inet_pton(family, dict(LOOPBACKS)[socket.AddressFamily(family)]).ljust(16, b"\0")
    # struct inet_diag_req_v2: family, protocol, states, then (port, peer's port, address, peer's address, interface, no cookie).
    asked = struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 0, 1 << TCP_LISTEN)
    asked += struct.pack("!HH", port, 0) + address + address + struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)
    header = struct.pack("=IHHII", NLMSG_HEADER + len(asked), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 0, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_SOCK_DIAG) as kernel:
            kernel.setblocking(False)
            kernel.send(header + asked)
            answer = kernel.recv(8192)
    except OSError:
        return _listeners_in_proc(family, port)
    kind = struct.unpack_from("=H", answer, 4)[0]
    if kind == SOCK_DIAG_BY_FAMILY:
        return {struct.unpack_from("=I", answer, OFFSET_OF_UID)[0]}
    refused = -struct.unpack_from("=i", answer, NLMSG_HEADER)[0]
    return set() if refused == errno.ENOENT else _listeners_in_proc(family, port)


def _listeners_in_proc(family: int, port: int) -> set[int]:
    found = set()
    for name in ("tcp", "tcp6"):
        file = Path(f"/proc/self/net/{name}")
        if not file.exists():
            continue
        for line in file.read_text().splitlines()[1:]:
            fields = line.split()
            address, _, local = fields[1].partition(":")
            if fields[3] == LISTENING and int(local, 16) == port and address in ANSWERING[family]:
                found.add(int(fields[7]))
    return found


async def dial(port: int, uid: int | None) -> socket.socket:
    """A connection to a loopback port, only if what listens there is the account's: a neighbour may have bound it (THREATS H3).

    Raises:
        OSError: nobody listens, or somebody else.
    """
    loop = asyncio.get_running_loop()
    reason: OSError = ConnectionRefusedError(errno.ECONNREFUSED, "nobody listens")
    for family, address in LOOPBACKS:
        attempt = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        attempt.setblocking(False)
        try:
            async with asyncio.timeout(DIAL_S):
                await loop.sock_connect(attempt, (address, port))
            if uid is not None and listeners(family, port) != {uid}:
                raise PermissionError(errno.EACCES, "another account listens there")
        except TimeoutError:
            attempt.close()
            reason = TimeoutError(errno.ETIMEDOUT, "no answer")
        except OSError as error:
            attempt.close()
            if not isinstance(reason, PermissionError):
                reason = error
        else:
            attempt.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return attempt
    raise reason


class Side(asyncio.Protocol):
    """One end of a carried connection; what it receives goes to the other end, no faster than that takes it."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: Side | None = None
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("not a stream")
        self.transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        """One direction is over; the other goes on until it ends too."""
        self.ended = True
        other = self.other
        if other is None or other.transport is None or other.transport.is_closing():
            return False
        if other.transport.can_write_eof():
            other.transport.write_eof()
        if other.ended:
            other.transport.close()
            return False
        return True

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if (
            self.other is not None
            and self.other.transport is not None
            and not self.other.transport.is_closing()
        ):
            self.other.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        other, self.other = self.other, None
        if other is not None and other.transport is not None:
            if error is None:
                other.transport.close()
            else:
                other.transport.abort()


class Incoming(Side):
    """The gateway's end."""

    def __init__(self, route: "Route") -> None:
        super().__init__()
        self.route = route

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.transport is None:
            return
        peer = self.transport.get_extra_info("peername")
        if not self.route.admits(peer) or self.route.carrier.connections >= MOST_CONNECTIONS:
            self.transport.abort()
            return
        self.route.open.add(self)
        self.transport.pause_reading()
        self.route.carrier.begin(self._join())

    async def _join(self) -> None:
        try:
            connected = await dial(self.route.port, self.route.uid)
        except OSError:
            if self.transport is not None:
                self.transport.abort()
            return
        outgoing = Side()
        await asyncio.get_running_loop().create_connection(lambda: outgoing, sock=connected)
        if self.transport is None or self.transport.is_closing():
            if outgoing.transport is not None:
                outgoing.transport.abort()
            return
        self.other, outgoing.other = outgoing, self
        self.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self.route.open.discard(self)
        super().connection_lost(error)


@dataclass
class Route:
    """One ingress port and where it leads."""

    carrier: "Carrier"
    ingress: int
    port: int
    uid: int | None
    networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network]
    server: asyncio.Server | None = None
    open: set[Incoming] = field(default_factory=set)

    def admits(self, peer: Any) -> bool:
        """Gateways only."""
        try:
            address = ipaddress.ip_address(peer[0])
        except (ValueError, TypeError, IndexError):
            return False
        return any(address in network for network in self.networks)

    def close(self) -> int:
        """Listen no more, and cut what is open."""
        if self.server is not None:
            self.server.close()
        cut = len(self.open)
        for one in list(self.open):
            if one.transport is not None:
                one.transport.abort()
            if one.other is not None and one.other.transport is not None:
                one.other.transport.abort()
        return cut


class Carrier:
    """All routes of one workspace."""

    def __init__(self) -> None:
        self.routes: dict[int, Route] = {}
        self.ended = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def connections(self) -> int:
        """How many are open on all routes."""
        return sum(len(route.open) for route in self.routes.values())

    def begin(self, work: Any) -> None:
        """Run something beside."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def serve(self, control: socket.socket) -> None:
        """Answer requests until told to end."""
        control.setblocking(False)
        loop = asyncio.get_running_loop()
        loop.add_reader(control, lambda: self._accept(control))
        await self.ended.wait()
        for route in self.routes.values():
            route.close()

    def _accept(self, control: socket.socket) -> None:
        try:
            client, _ = control.accept()
        except OSError:
            return
        client.setblocking(False)
        asyncio.get_running_loop().add_reader(client, lambda: self._read(client))

    def _read(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            data, descriptors, _, _ = socket.recv_fds(client, LONGEST_REQUEST, 1)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        if not data:
            loop.remove_reader(client)
            client.close()
            return
        self.begin(self._answer(client, json.loads(data), list(descriptors)))

    async def _answer(self, client: socket.socket, asked: dict[str, Any], descriptors: list[int]) -> None:
        handed: list[int] = []
        answer: dict[str, Any] = {}
        if asked["do"] == "state":
            routes = [[route.ingress, route.port, route.uid] for route in self.routes.values()]
            answer = {"version": VERSION, "routes": routes, "connections": self.connections}
        elif asked["do"] == "open":
            await self._open(asked, descriptors)
        elif asked["do"] == "close":
            route = self.routes.pop(asked["ingress"], None)
            answer = {"cut": route.close() if route else 0}
        elif asked["do"] == "dial":
            try:
                handed = [(await dial(asked["port"], asked["uid"])).detach()]
            except OSError as error:
                answer = {"errno": error.errno or errno.ECONNREFUSED}
        elif asked["do"] == "end":
            self.ended.set()
        with contextlib.suppress(OSError):
            client.sendmsg(
                [json.dumps(answer).encode()],
                [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", handed))] if handed else [],
            )
        for descriptor in handed:
            os.close(descriptor)

    async def _open(self, asked: dict[str, Any], descriptors: list[int]) -> None:
        earlier = self.routes.pop(asked["ingress"], None)
        if earlier is not None:
            earlier.close()
        networks = [ipaddress.ip_network(text) for text in asked["from"]]
        route = Route(self, asked["ingress"], asked["port"], asked["uid"], networks)
        listening = socket.socket(fileno=descriptors[0])
        listening.setblocking(False)
        route.server = await asyncio.get_running_loop().create_server(
            lambda: Incoming(route), sock=listening, backlog=512
        )
        self.routes[route.ingress] = route


def main(control: str) -> int:
    """Carry until told to end."""

    async def carry() -> None:
        await Carrier().serve(socket.socket(fileno=int(control)))

    asyncio.run(carry())
    return 0
