"""A reviewer in Chromium: from the share link to the app, and out again."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright

from tests.gateway.conftest import Place
from tests.gateway.services import Seen, accept_websocket, answer, echo, read_body

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(
        not Path("/usr/bin/chromium").exists(), reason="Chromium is not installed: apt-get install chromium"
    ),
]
Play = Callable[..., None]
DOMAIN = "dev.localhost"
HOST = f"web--main--acme.{DOMAIN}"
APP = b"""<!doctype html><title>App</title><h1>The app</h1><p id=api></p><p id=live></p>
<script>fetch('/api/who',{method:'POST'}).then(r=>r.text()).then(t=>document.getElementById('api').textContent=t);
document.cookie='own=1;path=/';document.cookie='wide=1;path=/;domain=dev.localhost';
const ws=new WebSocket(`ws://${location.host}/live`);ws.onmessage=e=>document.getElementById('live').textContent=e.data;
ws.onopen=()=>ws.send('live');ws.onclose=()=>document.getElementById('live').textContent='closed'</script>"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def app(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """A page, an API and a socket."""
    if seen.get("upgrade"):
        accept_websocket(seen, writer)
        await reader.readexactly(2 + 4 + 4)
        writer.write(b"\x81\x04live")
        await reader.read()
        return False
    await read_body(seen, reader)
    if seen.target == "/api/who":
        answer(
            writer, f"cookies: {seen.get('cookie')}".encode(), "Set-Cookie: parent=1; Domain=dev.localhost"
        )
    else:
        answer(writer, APP, "Content-Type: text/html")
    return True


@asynccontextmanager
async def chromium() -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = await browser.new_page()
        try:
            yield page
        finally:
            await browser.close()


def test_a_reviewer_comes_in_waits_uses_the_app_and_is_out(play: Play) -> None:
    port = free_port()

    async def scene(place: Place) -> None:
        place.control.domain, place.control.host = DOMAIN, HOST
        place.app.behave = app
        async with chromium() as page:
            wrong: list[str] = []
            page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
            await page.goto(f"http://{DOMAIN}:{port}/share/{place.control.link()}")
            await page.wait_for_url(f"http://{HOST}:{port}/")
            await page.wait_for_selector("text=Waking main")
            # The answers 503 of a page that waits are no fault of its; anything else is.
            assert [one for one in wrong if "503" not in one] == []
            [said] = {one["workspace_id"]: one for one in place.control.made}.values()
            said["runtime"] = {
                "state": "awake",
                "epoch": 1,
                "ingress": [{"service": "web", "address": "127.0.0.1", "port": place.app.port}],
            }
            place.control.purge("workspace", said["workspace_id"], cut=False)
            await page.wait_for_selector("text=The app")
            await page.wait_for_selector("#live:has-text('live')")
            assert await page.inner_text("#api") in {
                "cookies: None",
                "cookies: own=1",
                "cookies: own=1; wide=1",
            }
            held = {one["name"]: one for one in await page.context.cookies()}
            assert held["__Host-envforge"]["httpOnly"]
            assert "parent" not in held
            assert "__Host-envforge-state" not in held
            assert "__Host-envforge-share" not in held
            session = held["__Host-envforge"]["value"]
            place.control.refuse(session, "revoked", host=HOST)
            place.control.purge("link", said["link_id"])
            await page.wait_for_selector("#live:has-text('closed')", timeout=2000)
            await page.reload()
            await page.wait_for_selector("text=This link was withdrawn")
            assert "__Host-envforge" not in {one["name"] for one in await page.context.cookies()}

    play(scene, loop=asyncio.new_event_loop, dev_url=f"http://{DOMAIN}:{port}", listen=f"127.0.0.1:{port}")


def test_without_scripts_the_buttons_lead_the_same_way(play: Play) -> None:
    port = free_port()

    async def scene(place: Place) -> None:
        place.control.domain, place.control.host = DOMAIN, HOST
        place.app.behave = echo
        runtime = {
            "state": "awake",
            "epoch": 1,
            "ingress": [{"service": "web", "address": "127.0.0.1", "port": place.app.port}],
        }
        place.control.next_session = {"runtime": runtime}
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path="/usr/bin/chromium", args=["--no-sandbox"]
            )
            page = await browser.new_page(java_script_enabled=False)
            await page.goto(f"http://{DOMAIN}:{port}/share/{place.control.link()}")
            await page.click("button")
            await page.click("button:has-text('Continue')")
            await page.wait_for_url(f"http://{HOST}:{port}/")
            assert "hello" in await page.content()
            await browser.close()

    play(scene, loop=asyncio.new_event_loop, dev_url=f"http://{DOMAIN}:{port}", listen=f"127.0.0.1:{port}")
