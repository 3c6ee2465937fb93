"""A gateway process in the test's own loop, its control plane, and an app; scenes are coroutines, played by `play`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Self

import pytest
import uvloop

from envforge_gateway.config import Config
from envforge_gateway.gateway import Gateway
from envforge_gateway.program import Program
from tests.gateway.client import Answered, Client
from tests.gateway.double import CREDENTIAL, DOMAIN, ControlPlane
from tests.gateway.services import App

SESSION = "s" * 43


class Place:
    """Everything a scene needs."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.control = ControlPlane()
        self.app = App()
        self._settings = settings
        self.program: Program
        self._running: asyncio.Task[None]
        self._clients: list[Client] = []
        self._apps = [self.app]

    async def __aenter__(self) -> Self:
        await self.control.start()
        await self.app.start()
        await self.start_gateway()
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            client.close()
        await self.stop_gateway()
        for app in self._apps:
            await app.stop()
        await self.control.stop()

    async def start_gateway(self) -> None:
        """Start it, with the settings of this place."""
        config = Config.model_validate(
            {
                "dev_url": f"https://{DOMAIN}",
                "api_url": self.control.url,
                "credential": CREDENTIAL,
                "listen": "127.0.0.1:0",
                "admin_listen": "127.0.0.1:0",
                "upstream_networks": "127.0.0.0/8",
                "drain_s": 0.0,
                **self._settings,
            }
        )
        self.program = Program(config, activity_every_s=0.05)
        self._running = asyncio.create_task(self.program.run())
        await self.program.listening.wait()
        await self.until(lambda: self.gateway.freshness.may_serve)

    async def stop_gateway(self) -> None:
        self.program.ending.set()
        await self._running

    @property
    def gateway(self) -> Gateway:
        return self.program.gateway

    async def client(self) -> Client:
        client = await Client.to(self.program.address)
        self._clients.append(client)
        return client

    async def get(self, target: str = "/", *, session: str | None = SESSION, **given: Any) -> Answered:
        """One request on a connection of its own."""
        client = await self.client()
        got = await client.get(target, session=session, **given)
        client.close()
        return got

    async def more(self, words: str) -> App:
        """One more app."""
        app = App(words)
        await app.start()
        self._apps.append(app)
        return app

    def awake(
        self, value: str = SESSION, *, epoch: int = 1, app: App | None = None, **given: Any
    ) -> dict[str, Any]:
        """A session whose workspace is awake; the decision's fields."""
        runtime = {
            "state": "awake",
            "epoch": epoch,
            "ingress": [{"service": "web", "address": "127.0.0.1", "port": (app or self.app).port}],
        }
        return self.control.session(value, **{"runtime": runtime, **given})

    async def until(self, true: Callable[[], object], within_s: float = 5.0) -> None:
        async with asyncio.timeout(within_s):
            while not true():
                await asyncio.sleep(0.005)

    async def metrics(self) -> str:
        reader, writer = await asyncio.open_connection(*self.program.admin_address)
        writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        text = (await reader.read()).decode()
        writer.close()
        return text

    async def health(self) -> int:
        reader, writer = await asyncio.open_connection(*self.program.admin_address)
        writer.write(b"GET /health HTTP/1.1\r\n\r\n")
        status = int((await reader.read()).split(b" ")[1])
        writer.close()
        return status


Scene = Callable[[Place], Awaitable[None]]


@pytest.fixture
def play() -> Callable[..., None]:
    """Plays a scene at a place of its own."""

    def run(
        scene: Scene,
        *,
        loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop,
        **settings: Any,
    ) -> None:
        async def whole() -> None:
            async with asyncio.timeout(30), Place(settings) as place:
                await scene(place)

        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(whole())

    return run
