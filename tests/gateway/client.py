"""A client that says exactly what a test says."""

import asyncio
import base64
from dataclasses import dataclass, field
from typing import Self

from tests.gateway.double import HOST


@dataclass
class Answered:
    status: int
    fields: list[tuple[str, str]]
    body: bytes = b""
    interim: list[int] = field(default_factory=list)

    def get(self, name: str) -> str | None:
        return next((value for given, value in self.fields if given.lower() == name.lower()), None)

    def every(self, name: str) -> list[str]:
        return [value for given, value in self.fields if given.lower() == name.lower()]

    @property
    def text(self) -> str:
        return self.body.decode()


class Client:
    """One connection to the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, address: tuple[str, int]) -> Self:
        return cls(*await asyncio.open_connection(*address))

    def send(self, data: bytes | str) -> None:
        self.writer.write(data.encode() if isinstance(data, str) else data)

    def ask(
        self,
        target: str = "/",
        *,
        method: str = "GET",
        host: str | None = HOST,
        session: str | None = None,
        body: bytes | None = None,
        fields: tuple[str, ...] = (),
        version: str = "1.1",
    ) -> None:
        lines = [f"{method} {target} HTTP/{version}"]
        if host is not None:
            lines.append(f"Host: {host}")
        if session is not None:
            lines.append(f"Cookie: __Host-envforge={session}")
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join([*lines, *fields]) + "\r\n\r\n")
        if body:
            self.send(body)

    async def answer(self, *, to_head: bool = False) -> Answered:
        """The next answer, whole."""
        async with asyncio.timeout(10):
            interim: list[int] = []
            while True:
                head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head[:-4].split("\r\n")
                status = int(first.split(" ")[1])
                fields = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
                got = Answered(status, fields, interim=interim)
                if status >= 200 or status == 101:
                    break
                interim.append(status)
            if to_head or status in {101, 204, 304}:
                return got
            if got.get("transfer-encoding") == "chunked":
                while size := int(await self.reader.readuntil(b"\r\n"), 16):
                    got.body += await self.reader.readexactly(size)
                    assert await self.reader.readexactly(2) == b"\r\n"
                assert await self.reader.readexactly(2) == b"\r\n"
            elif (length := got.get("content-length")) is not None:
                got.body = await self.reader.readexactly(int(length))
            else:
                got.body = await self.reader.read()
            return got

    async def get(self, target: str = "/", **given: object) -> Answered:
        self.ask(target, **given)  # type: ignore[arg-type]
        return await self.answer(to_head=given.get("method") == "HEAD")

    async def upgrade(
        self, target: str = "/ws", *, fields: tuple[str, ...] = (), **given: object
    ) -> Answered:
        key = base64.b64encode(b"0123456789abcdef").decode()
        self.ask(
            target,
            fields=(
                "Connection: Upgrade",
                "Upgrade: websocket",
                "Sec-WebSocket-Version: 13",
                f"Sec-WebSocket-Key: {key}",
                *fields,
            ),
            **given,  # type: ignore[arg-type]
        )
        return await self.answer()

    async def is_closed(self, within_s: float = 3.0) -> bool:
        """Whether the other side ends the connection in time; what it still sent is thrown away."""
        try:
            async with asyncio.timeout(within_s):
                while await self.reader.read(65536):
                    pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True

    def close(self) -> None:
        self.writer.transport.abort()


def frame(payload: bytes, *, opcode: int = 2, final: bool = True) -> bytes:
    """A frame as a client sends it."""
    mask = b"\x01\x02\x03\x04"
    size = len(payload)
    head = bytes(((0x80 if final else 0) | opcode,))
    head += (
        bytes((0x80 | size,))
        if size < 126
        else b"\xfe" + size.to_bytes(2, "big")
        if size < 65536
        else b"\xff" + size.to_bytes(8, "big")
    )
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
