"""A process that stood still serves nothing from before (THREATS G1): real processes, real signals."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.gateway.client import Client, frame
from tests.gateway.conftest import SESSION
from tests.gateway.double import CREDENTIAL, DOMAIN, ControlPlane
from tests.gateway.services import App, echo


def test_g1_a_frozen_process_serves_nothing_from_before(tmp_path: Path) -> None:
    """SIGSTOP, a revocation, SIGCONT: real processes, real signals."""

    async def scene() -> None:
        control, app = ControlPlane(), App()
        await control.start()
        await app.start()
        app.behave = echo
        runtime = {
            "state": "awake",
            "epoch": 1,
            "ingress": [{"service": "web", "address": "127.0.0.1", "port": app.port}],
        }
        said = control.session(SESSION, runtime=runtime)
        log = (tmp_path / "log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", "envforge_gateway", "--process", "0"],
            stderr=log,
            env={
                **os.environ,
                "ENVFORGE_DEV_URL": f"https://{DOMAIN}",
                "ENVFORGE_GATEWAY_API_URL": control.url,
                "ENVFORGE_GATEWAY_CREDENTIAL": CREDENTIAL,
                "ENVFORGE_GATEWAY_LISTEN": "127.0.0.1:0",
                "ENVFORGE_GATEWAY_ADMIN_LISTEN": "127.0.0.1:0",
                "ENVFORGE_GATEWAY_UPSTREAM_NETWORKS": "127.0.0.0/8",
                "ENVFORGE_GATEWAY_DRAIN_S": "1",
            },
        )
        try:
            address = await listening(tmp_path / "log")
            client, asking = await Client.to(address), await Client.to(address)
            async with asyncio.timeout(5):
                while (await asking.get(session=SESSION)).status != 200:
                    await asyncio.sleep(0.05)
            assert (await client.upgrade(session=SESSION)).status == 101
            process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(0.3)
            control.refuse(SESSION, "revoked")
            control.purge("link", said["link_id"])
            await asyncio.sleep(1.5)
            seen = len(app.seen)
            client.send(frame(b"still there?"))
            asking.ask(session=SESSION)
            await asyncio.sleep(0.1)
            process.send_signal(signal.SIGCONT)
            assert (await asking.answer()).status in {503, 410}
            assert await client.is_closed(1)
            assert len(app.seen) == seen
            client.close()
            asking.close()
            process.terminate()
            assert await asyncio.to_thread(process.wait, 10) == 0
            assert control.left == 1
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            log.close()
            await app.stop()
            await control.stop()

    asyncio.run(scene())


async def listening(log: Path) -> tuple[str, int]:
    async with asyncio.timeout(10):
        while True:
            for line in log.read_text().splitlines():
                said = json.loads(line) if line.startswith("{") else {}
                if said.get("event") == "listening":
                    return said["address"], said["port"]
            await asyncio.sleep(0.05)
