"""`/health` and `/metrics`, on a listener of its own that the world does not reach."""

import asyncio

from envforge_gateway.gateway import Gateway


class Admin:
    """Answers the process's own keepers."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one answer."""
        try:
            async with asyncio.timeout(5):
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ", 2)[1] if head.count(b" ") > 1 else b""
                status, text = self._answer(path)
                writer.write(
                    f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n"
                    f"Content-Length: {len(text.encode())}\r\nConnection: close\r\n\r\n{text}".encode()
                )
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    def _answer(self, path: bytes) -> tuple[str, str]:
        gateway = self._gateway
        if path == b"/metrics":
            return "200 OK", gateway.metrics.text(gateway.gauges())
        if path != b"/health":
            return "404 Not Found", "not found\n"
        if gateway.draining:
            return "503 Service Unavailable", "draining\n"
        if not gateway.freshness.may_serve:
            return "503 Service Unavailable", "no fresh heartbeat from the control plane\n"
        return "200 OK", "ok\n"
