"""Ordinary HTTP through the gateway, right to the byte."""

import asyncio
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gateway.conftest import SESSION, Place
from tests.gateway.services import Seen, answer, read_body

Play = Callable[..., None]


def test_a_request_reaches_the_app_and_its_answer_the_client(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        got = await place.get("/a/b?c=%20d", fields=("X-Own: 1", "Authorization: Bearer app-token"))
        assert (got.status, got.body, got.get("x-robots-tag")) == (200, b"hello", "noindex")
        seen = place.app.seen[0]
        assert seen.target == "/a/b?c=%20d"
        assert seen.get("x-own") == "1"
        assert seen.get("authorization") == "Bearer app-token"

    play(scene)


def test_one_connection_serves_many_requests_and_keeps_one_to_the_app(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        client = await place.client()
        for _ in range(20):
            assert (await client.get(session=SESSION)).body == b"hello"
        assert place.app.connections == 1
        assert len(place.control.asked_for("resolve")) == 1

    play(scene)


def test_pipelined_requests_are_answered_in_order(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()

        async def slow_first(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            await asyncio.sleep(0.05 if seen.target == "/0" else 0)
            await read_body(seen, reader)
            answer(writer, seen.target.encode() + seen.body)
            return True

        place.app.behave = slow_first
        client = await place.client()
        for number in range(300):
            body = b"x" * number if number % 3 == 0 else None
            client.ask(f"/{number}", method="POST" if body else "GET", session=SESSION, body=body)
        for number in range(300):
            expected = b"x" * number if number % 3 == 0 else b""
            assert (await client.answer()).body == f"/{number}".encode() + expected

    play(scene)


def test_refusals_among_pipelined_requests_keep_the_order(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        client = await place.client()
        for number in range(500):
            client.ask(f"/{number}", session=SESSION if number % 2 else None)
        assert [(await client.answer()).status for _ in range(500)] == [401, 200] * 250

    play(scene)


def test_a_chunked_upload_arrives_whole_and_without_its_trailers(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        client = await place.client()
        client.ask(method="POST", session=SESSION, fields=("Transfer-Encoding: chunked", "Trailer: X-T"))
        for piece in (b"5;ext=1\r\nhello\r\n", b"1", b"\r\n!\r", b"\n0\r\nX-T: secret\r\n\r\n"):
            client.send(piece)
            await asyncio.sleep(0.01)
        client.ask("/next", session=SESSION)
        assert (await client.answer()).status == 200
        assert (await client.answer()).status == 200
        await place.until(lambda: len(place.app.seen) == 2)
        assert place.app.seen[0].body == b"hello!"
        assert place.app.seen[0].get("trailer") is None

    play(scene, body_bytes=1024)


def test_expect_continue_is_the_apps_to_answer(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()

        async def continued(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            assert seen.get("expect") == "100-continue"
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await read_body(seen, reader)
            answer(writer, seen.body)
            return True

        place.app.behave = continued
        client = await place.client()
        client.ask(method="POST", session=SESSION, fields=("Content-Length: 3", "Expect: 100-continue"))
        async with asyncio.timeout(5):
            assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        client.send(b"abc")
        assert (await client.answer()).body == b"abc"
        # Refused before the body is sent.
        client.ask(method="POST", fields=("Content-Length: 3", "Expect: 100-continue"))
        assert (await client.answer()).status == 401

    play(scene)


def test_early_hints_pass(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()

        async def hints(seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")
            await asyncio.sleep(0.01)
            answer(writer, b"page")
            return True

        place.app.behave = hints
        got = await place.get()
        assert (got.interim, got.body) == ([103], b"page")

    play(scene)


def test_head_204_and_304_have_no_body(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()

        async def bodiless(seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            status = seen.target.removeprefix("/")
            length = "" if status == "204 No Content" else "Content-Length: 1234\r\n"
            writer.write(f"HTTP/1.1 {status.replace('%20', ' ')}\r\n{length}ETag: x\r\n\r\n".encode())
            return True

        place.app.behave = bodiless
        client = await place.client()
        got = await client.get("/200%20OK", method="HEAD", session=SESSION)
        assert (got.status, got.get("content-length")) == (200, "1234")
        assert (await client.get("/204%20No", session=SESSION)).get("transfer-encoding") is None
        got = await client.get("/304%20Not", session=SESSION)
        assert (got.status, got.get("content-length"), got.get("etag")) == (304, "1234", "x")
        assert (await client.get("/204%20No", session=SESSION)).status == 204

    play(scene)


def test_ranges_pass(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()

        async def part(seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            assert (seen.get("range"), seen.get("if-range")) == ("bytes=2-4", '"e"')
            answer(writer, b"cde", "Content-Range: bytes 2-4/10", status="206 Partial Content")
            return True

        place.app.behave = part
        got = await place.get(fields=("Range: bytes=2-4", 'If-Range: "e"'))
        assert (got.status, got.get("content-range"), got.body) == (206, "bytes 2-4/10", b"cde")

    play(scene)


def test_server_sent_events_arrive_as_they_are_sent(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()

        async def events(seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            for number in range(3):
                await asyncio.sleep(0.1)
                writer.write(b"9\r\ndata: %d\n\n\r\n" % number)
            writer.write(b"0\r\nX-Trailer: dropped\r\n\r\n")
            return True

        place.app.behave = events
        client = await place.client()
        client.ask(session=SESSION)
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert b"text/event-stream" in head
        loop = asyncio.get_running_loop()
        for number in range(3):
            before = loop.time()
            assert await client.reader.readexactly(14) == b"9\r\ndata: %d\n\n\r\n" % number
            assert number == 0 or loop.time() - before > 0.05
        assert await client.reader.readexactly(5) == b"0\r\n\r\n"
        client.ask("/again", session=SESSION)
        assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")

    play(scene)


def test_an_answer_that_ends_with_its_connection_is_whole(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()

        async def old(seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            writer.write(b"HTTP/1.0 200 OK\r\n\r\npart one, ")
            await asyncio.sleep(0.02)
            writer.write(b"part two")
            return False

        place.app.behave = old
        client = await place.client()
        assert (await client.get(session=SESSION)).body == b"part one, part two"
        assert (await client.get(session=SESSION)).body == b"part one, part two"
        old_client = await place.client()
        got = await old_client.get(session=SESSION, version="1.0")
        assert (got.body, got.get("transfer-encoding")) == (b"part one, part two", None)

    play(scene)


def test_a_client_of_http_1_0_gets_no_chunks(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()

        async def chunks(seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
            return True

        place.app.behave = chunks
        client = await place.client()
        got = await client.get(session=SESSION, version="1.0")
        assert (got.body, got.get("connection")) == (b"abc", "close")
        kept = await place.client()
        place.app.behave = None
        assert (await kept.get(session=SESSION, version="1.0", fields=("Connection: keep-alive",))).get(
            "connection"
        ) == "keep-alive"
        assert (await kept.get(session=SESSION)).status == 200

    play(scene)


@pytest.mark.parametrize(
    ("framing", "resets"),
    [("Content-Length: 100", False), ("Transfer-Encoding: chunked", False), ("Connection: close", True)],
)
def test_half_an_answer_does_not_look_like_a_whole_one(play: Play, framing: str, resets: bool) -> None:
    async def scene(place: Place) -> None:
        place.awake()

        async def half(seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            writer.write(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n4\r\nhalf\r\n".encode())
            await asyncio.sleep(0.02)
            if resets:
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            return False

        place.app.behave = half
        client = await place.client()
        client.ask(session=SESSION)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.answer()

    play(scene)


def test_a_connection_the_app_had_closed_is_replaced_once(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()

        async def once(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            await read_body(seen, reader)
            if len(place.app.seen) == 2:
                return False  # as a server that closed an idle connection just now
            answer(writer, b"hello")
            return True

        place.app.behave = once
        client = await place.client()
        assert (await client.get(session=SESSION)).status == 200
        assert (await client.get(session=SESSION)).status == 200
        assert len(place.app.seen) == 3

        async def never(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            await read_body(seen, reader)
            return False

        # What may have been done is not done twice.
        place.app.behave = never
        assert (await client.get(session=SESSION, method="POST", body=b"x")).status == 502
        assert len(place.app.seen) == 4

    play(scene)


def kept_by_sockets() -> int:
    """The most that the kernel keeps of a client's and an app's connection under way, in bytes (tcp(7): tcp_rmem, tcp_wmem)."""
    tables = Path("/proc/sys/net/ipv4")
    return 2 * sum(int((tables / name).read_text().split()[2]) for name in ("tcp_rmem", "tcp_wmem"))


def test_a_long_download_and_upload_are_held_back_by_the_slower_side(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        sent = 0
        # More than all of that, so that a gateway which kept the rest would be seen.
        size = kept_by_sockets() + (16 << 20)

        async def download(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            nonlocal sent
            if seen.method == "POST":
                await asyncio.sleep(0.3)
                total = 0
                while total < size:
                    total += len(await reader.read(1 << 20))
                answer(writer, str(total).encode())
                return True
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
            while sent < size:
                writer.write(b"x" * (1 << 18))
                sent += 1 << 18
                await writer.drain()
            return True

        place.app.behave = download
        client = await place.client()
        client.ask(session=SESSION)
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert b"200 OK" in head
        await asyncio.sleep(0.3)
        # The client reads nothing: what is under way is what the kernel keeps of two connections and a little of ours, not the file.
        assert sent < kept_by_sockets() + (2 << 20)
        so_far = sent
        await asyncio.sleep(0.3)
        assert sent == so_far
        left = size
        while left:
            left -= len(await client.reader.read(min(left, 1 << 20)))

        uploading = await place.client()
        uploading.ask(method="POST", session=SESSION, fields=(f"Content-Length: {size}",))
        written = 0

        async def upload() -> None:
            nonlocal written
            while written < size:
                uploading.send(b"y" * (1 << 18))
                await uploading.writer.drain()
                written += 1 << 18

        task = asyncio.create_task(upload())
        await asyncio.sleep(0.2)
        assert written < kept_by_sockets() + (2 << 20)
        await task
        assert (await uploading.answer()).body == str(size).encode()

    play(scene)
