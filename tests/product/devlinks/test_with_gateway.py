"""The true gateway in front of the true control plane: a link opens, the app answers, the link goes, and nothing passes any more."""

import asyncio
import os
import re
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
import uvloop
from django.conf import settings
from django.utils import timezone

from devlinks import settling
from devlinks.operations import links
from envforge_gateway.config import Config
from envforge_gateway.program import Program
from tests.gateway.client import Answered, Client, frame
from tests.gateway.services import App, Seen, echo
from tests.product.devlinks import yard as yards
from tests.product.devlinks.yard import Yard, token_of

T = TypeVar("T")
# Of this machine alone, and no address that anything else listens at.
# Each worker of a test run its own: the port is one.
VM = f"127.20.1.{7 + int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0')[2:])}"
PAGE = (
    "Accept: text/html",
    "Sec-Fetch-Site: same-site",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Dest: document",
)
FORM = "Content-Type: application/x-www-form-urlencoded"
DOMAIN = urlsplit(settings.DEV_URL).hostname or ""


class Front:
    """A gateway process in a loop of its own, and an app where its services are."""

    def __init__(self, address: str) -> None:
        port = urlsplit(address).port
        self.app = App("hello from web", VM, 20001)
        self.app.behave = echo
        self.program = Program(
            Config.model_validate(
                {
                    "dev_url": settings.DEV_URL,
                    "api_url": f"http://{settings.GATEWAY_API_HOST}:{port}",
                    "credential": settings.GATEWAY_CREDENTIALS[0],
                    "upstream_networks": f"{VM}/32",
                    "listen": "127.0.0.1:0",
                    "admin_listen": "127.0.0.1:0",
                    "drain_s": 0.0,
                }
            ),
            activity_every_s=0.2,
        )
        self._clients: list[Client] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._live()))
        self._thread.start()
        assert self._ready.wait(20)

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self.app.start()
        running = asyncio.create_task(self.program.run())
        await self.program.listening.wait()
        async with asyncio.timeout(10):
            while not self.program.gateway.freshness.may_serve:  # noqa: ASYNC110 - until it is so
                await asyncio.sleep(0.02)
        self._ready.set()
        await running
        for client in self._clients:
            client.close()
        await self.app.stop()
        await asyncio.sleep(0.05)

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self.program.ending.set)
        self._thread.join(20)
        assert not self._thread.is_alive()

    async def client(self) -> Client:
        client = await Client.to(self.program.address)
        self._clients.append(client)
        return client

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def get(self, target: str, **given: Any) -> Answered:
        client = await self.client()
        got = await client.get(target, **given)
        client.close()
        return got

    async def enter(self, token: str) -> tuple[str, str]:
        """As a browser goes from a share address to a session; its host and its cookie."""
        body = f"token={token}".encode()
        got = await self.get(
            "/share", method="POST", host=DOMAIN, body=body, fields=(FORM, "Accept: text/html")
        )
        assert got.status == 303, got.text
        host = urlsplit(got.get("location") or "").hostname or ""
        share = _cookie(got, "__Host-envforge-share")
        got = await self.get("/.envforge/open", host=host, fields=PAGE)
        state = _cookie(got, "__Host-envforge-state")
        query = urlsplit(got.get("location") or "").query
        got = await self.get(
            f"/share/continue?{query}", host=DOMAIN, fields=(f"Cookie: __Host-envforge-share={share}", *PAGE)
        )
        code = re.search(r'name="code" value="([^"]+)"', got.text)
        assert code, got.text
        got = await self.get(
            "/.envforge/redeem",
            method="POST",
            host=host,
            body=f"code={code[1]}".encode(),
            fields=(FORM, "Origin: null", f"Cookie: __Host-envforge-state={state}"),
        )
        assert got.status == 303, got.text
        return host, _cookie(got, "__Host-envforge")


def _cookie(got: Answered, name: str) -> str:
    return (
        next(one for one in got.every("set-cookie") if one.startswith(f"{name}="))
        .split(";")[0]
        .partition("=")[2]
    )


@pytest.fixture
def front(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    monkeypatch.setattr(yards, "ADDRESS", VM)
    made = Front(address)
    try:
        yield made
    finally:
        made.end()


def until(true: Callable[[], object], within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_link_from_its_issue_to_its_end(yard: Yard, front: Front) -> None:
    yard.awake()
    issued = yard.issue(lifetime=timedelta(hours=1))
    host, session = front.run(front.enter(token_of(issued)))
    assert front.run(front.get("/", host=host, session=session)).text == "hello"

    async def opened() -> Client:
        client = await front.client()
        assert (await client.upgrade(host=host, session=session)).status == 101
        client.send(frame(b"hi"))
        await client.reader.readexactly(8)
        return client

    client = front.run(opened())
    until(lambda: yard.events("dev_link.first_used"))
    began = time.monotonic()
    links.revoke_dev_link(actor=yard.alice, org_id=yard.org, link_id=issued.link.id)
    assert front.run(client.is_closed(1.0))
    # L4: within a second, wherever it is; what it took is measured in bench/.
    assert time.monotonic() - began < 1.0
    got = front.run(front.get("/", host=host, session=session, fields=PAGE))
    assert (got.status, "withdrawn" in got.text) == (410, True)
    # What the sweep does, as soon as the gateway has said so.
    until(lambda: settling.settle(timezone.now()) and yard.events("dev_link.cut"))
    facts = yard.events("dev_link.cut")[-1].facts
    assert facts["connections"] == 1


def test_l4_a_stream_of_events_ends_with_its_link(yard: Yard, front: Front) -> None:
    """L4: events come one by one, until their link is revoked; the page that opens them again is told so, and a reload says why."""
    yard.awake()
    front.app.behave = events
    issued = yard.issue(lifetime=timedelta(hours=1))
    host, session = front.run(front.enter(token_of(issued)))

    async def opened() -> Client:
        client = await front.client()
        client.ask("/events", host=host, session=session, fields=("Accept: text/event-stream",))
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        for number in range(3):
            # Each as a chunk of its own, when it was said.
            said = await client.reader.readuntil(b"\n\n\r\n")
            assert b"data: %d\n" % number in said
        return client

    client = front.run(opened())
    links.revoke_dev_link(actor=yard.alice, org_id=yard.org, link_id=issued.link.id)
    assert front.run(client.is_closed(1.0))
    again = front.run(front.get("/events", host=host, session=session, fields=("Accept: text/event-stream",)))
    assert (again.status, again.every("set-cookie")) == (410, [])
    page = front.run(front.get("/", host=host, session=session, fields=PAGE))
    assert (page.status, "withdrawn" in page.text) == (410, True)


async def events(_seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    number = 0
    while not writer.is_closing():
        writer.write(b"data: %d\n\n" % number)
        number += 1
        await writer.drain()
        await asyncio.sleep(0.1)
    return False


def test_a_sleeping_workspace_is_woken_and_then_answers(yard: Yard, front: Front) -> None:
    issued = yard.issue(lifetime=timedelta(hours=1))
    host, session = front.run(front.enter(token_of(issued)))
    got = front.run(front.get("/", host=host, session=session, fields=PAGE))
    assert (got.status, "Waking" in got.text) == (503, True)
    yard.awake()
    until(lambda: front.run(front.get("/", host=host, session=session)).status == 200)
    yard.asleep()
    until(
        lambda: front.run(front.get("/x", host=host, session=session, fields=("Accept: */*",))).status == 503
    )


def test_g2_routes_that_are_withdrawn_are_acknowledged(yard: Yard, front: Front) -> None:
    yard.awake()
    issued = yard.issue(lifetime=timedelta(hours=1))
    host, session = front.run(front.enter(token_of(issued)))
    assert front.run(front.get("/", host=host, session=session)).status == 200
    yard.asleep()
    until(lambda: front.program.gateway.metrics.purges >= 1)
    assert front.program.gateway.metrics.gaps == 0
