"""An app behind the gateway: raw enough to misbehave in every way."""

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress

Behave = Callable[["Seen", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bool]]


class Seen:
    """A request as the app got it."""

    def __init__(self, head: str) -> None:
        first, *lines = head[:-4].split("\r\n")
        self.method, self.target, _ = first.split(" ", 2)
        self.fields = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        self.body = b""

    def get(self, name: str) -> str | None:
        return next((value for given, value in self.fields if given.lower() == name), None)


class App:
    """Answers by `behave`; without one, 200 with a few words."""

    def __init__(self, words: str = "hello", address: str = "127.0.0.1", port: int = 0) -> None:
        self.words = words
        self._at = (address, port)
        self.seen: list[Seen] = []
        self.behave: Behave | None = None
        self.connections = 0
        self.open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, *self._at)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server
        self._server.close()
        for writer in list(self.open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                seen = Seen((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"))
                self.seen.append(seen)
                if self.behave is not None:
                    if not await self.behave(seen, reader, writer):
                        break
                    continue
                await read_body(seen, reader)
                answer(writer, self.words.encode())
        self.open.discard(writer)
        writer.close()


async def read_body(seen: Seen, reader: asyncio.StreamReader) -> bytes:
    if seen.get("transfer-encoding") == "chunked":
        while size := int(await reader.readuntil(b"\r\n"), 16):
            seen.body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
    else:
        seen.body = await reader.readexactly(int(seen.get("content-length") or 0))
    return seen.body


def answer(writer: asyncio.StreamWriter, body: bytes, *fields: str, status: str = "200 OK") -> None:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields]) + "\r\n\r\n"
    writer.write(head.encode("latin-1") + body)


def accept_websocket(seen: Seen, writer: asyncio.StreamWriter, *fields: str) -> None:
    key = (seen.get("sec-websocket-key") or "").encode()
    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest()
    lines = ["HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket"]
    lines += [f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}", *fields]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())


async def echo(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """A WebSocket that sends every byte back, or an ordinary answer."""
    if seen.get("upgrade") != "websocket":
        await read_body(seen, reader)
        answer(writer, b"hello")
        return True
    accept_websocket(seen, writer)
    while data := await reader.read(65536):
        writer.write(data)
    return False
