"""One gateway process with sessions already known, as it would be after a day; and an app that keeps sockets open.

`python -m bench._gateway_process gateway SESSIONS APP_PORT` or `... sockets PORT ADDRESS`.
"""

import asyncio
import base64
import hashlib
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID

import uvloop

from bench._processes import most_files
from envforge_gateway.config import load
from envforge_gateway.program import Program
from envforge_protocol.gateway.decisions import Decision

HOST = "web--main--acme.dev.test"
SESSIONS_OF_A_LINK = 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def value(number: int) -> str:
    """The cookie of a session."""
    return base64.urlsafe_b64encode(hashlib.sha256(b"%d" % number).digest()).rstrip(b"=").decode()


def link(number: int) -> UUID:
    """The link of a session: ten sessions have one."""
    return UUID(int=(1 << 100) + number // SESSIONS_OF_A_LINK)


def decisions(number: int, port: int) -> Iterator[Decision]:
    """Sessions of many links of four workspaces, all awake; their paths and surfaces are looked at."""
    ends = datetime.now(UTC) + timedelta(hours=8)
    for one in range(number):
        yield Decision.model_validate(
            {
                "session_id": UUID(int=(2 << 100) + one),
                "link_id": link(one),
                "workspace_id": UUID(int=(3 << 100) + one % 4),
                "organization_id": UUID(int=(4 << 100) + one % 4),
                "workspace": "main",
                "service": "web",
                "surfaces": ["web", "api", "websockets"],
                "routes": {
                    "api": ["/api"],
                    "assets": ["/static"],
                    "forward": [{"prefix": "/backend", "service": "backend"}],
                },
                "runtime": {
                    "state": "awake",
                    "epoch": 1,
                    "ingress": [
                        {"service": "web", "address": "127.0.0.1", "port": port},
                        {"service": "backend", "address": "127.0.0.1", "port": port},
                    ],
                },
                "expires_at": ends,
            }
        )


async def gateway(number: int, port: int) -> None:
    """Serve with so many sessions known; says `ready` and the address on standard output."""
    program = Program(load())
    running = asyncio.create_task(program.run())
    await program.listening.wait()
    while not program.gateway.freshness.may_serve:  # noqa: ASYNC110 - once, at the start
        await asyncio.sleep(0.01)
    made = program.gateway
    for one, decision in enumerate(decisions(number, port)):
        digest = hashlib.sha256(value(one).encode()).digest()
        made.cache.keep(made.resolver._entry(digest, HOST, 0, decision))  # noqa: SLF001 - as it makes them
        if one % 1000 == 0:
            await asyncio.sleep(0)
    told = {"port": program.address[1], "admin": program.admin_address[1], "sessions": len(made.cache)}
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    await running


class Sockets(asyncio.Protocol):
    """Accepts every WebSocket and sends back what comes; has a word for everything else."""

    def __init__(self) -> None:
        self.open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        write = self.transport.write
        if self.open:
            write(data)
            return
        if b"upgrade: websocket" not in data.lower():
            write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nup\n")
            return
        key = data.lower().partition(b"sec-websocket-key: ")[2].partition(b"\r\n")[0]
        at = data.lower().find(key)
        accept = base64.b64encode(hashlib.sha1(data[at : at + len(key)] + GUID).digest())  # noqa: S324 - RFC 6455
        write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "
            + accept
            + b"\r\n\r\n"
        )
        self.open = True


async def sockets(port: int, address: str) -> None:
    server = await asyncio.get_running_loop().create_server(Sockets, address, port, backlog=4096)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    kind, first, second = sys.argv[1:]
    most_files()
    uvloop.run(gateway(int(first), int(second)) if kind == "gateway" else sockets(int(first), second))
