"""The main job in a real browser over the whole product (PRODUCT, "The main job, end to end").

A reviewer opens the link that the local cloud issues: a sleeping workspace wakes, its app is there with pages, API, assets and a live
WebSocket. An owner revokes it: the page is dead and the socket closed within a second (L4). The runtime sleeps, the
meter stops, and the timeline explains all of it.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, WebSocket, expect, sync_playwright

from local_cloud.cloud import Cloud, exclusive, plan
from local_cloud.console import Console
from local_cloud.home import Home, read_document
from local_cloud.supervisor import Supervisor
from local_cloud.whole import start_whole

pytestmark = [pytest.mark.drill, pytest.mark.browser]

WAKES_WITHIN_MS = 180_000
SHELL_WITHIN_MS = 180_000
OUT_WITHIN_S = 1.0


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    named = os.environ.get("ENVFORGE_DRILL_HOME")
    if named is None:
        pytest.fail("Drills start and kill the whole product: run them by ./dev drill.")
    home = Home(Path(named)).nested("main-job")
    for entry in home.root.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    with ExitStack() as stack:
        stack.enter_context(exclusive(home, "drill"))
        supervisor = stack.enter_context(Supervisor(home, console=Console()))
        yield start_whole(plan(home, {}, apart=True), supervisor, Console())


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        path = os.environ.get("ENVFORGE_BROWSER", "/usr/bin/chromium")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def test_the_main_job_from_a_link_to_its_revocation(cloud: Cloud, chromium: Browser) -> None:
    """L1-L6, L9, W4-W7, W10, B1: a fresh local cloud, one reviewer, one owner."""
    owner = signed_in(cloud, chromium, "alice")
    owner.goto(f"{cloud.console_url}/o/acme/workspaces")
    owner.get_by_role("link", name="main", exact=True).click()
    workspace = owner.url
    states = owner.locator(".states")
    expect(states).to_contain_text("Shell ready", timeout=SHELL_WITHIN_MS, use_inner_text=True)

    reviewer = chromium.new_context().new_page()
    sockets: list[tuple[WebSocket, list[float]]] = []

    def opened(socket: WebSocket) -> None:
        closed: list[float] = []
        sockets.append((socket, closed))
        socket.on("close", lambda _: closed.append(time.monotonic()))

    reviewer.on("websocket", opened)
    reviewer.goto(read_document(cloud.share_link_file)["address"])
    expect(reviewer).to_have_title("Rooms at Acme", timeout=WAKES_WITHIN_MS)
    expect(reviewer.get_by_text("Only you are looking")).to_be_visible(timeout=20_000)
    assert reviewer.evaluate("fetch('/api/rooms').then(answer => answer.status)") == 200
    assert reviewer.evaluate("fetch('/assets/live.js').then(answer => answer.status)") == 200
    live = [one for one in sockets if not one[1]]
    assert live, "a WebSocket is open"
    # The session's cookie is the gateway's alone: the app's scripts see none.
    assert reviewer.evaluate("document.cookie") == ""

    owner.goto(workspace)
    expect(owner.get_by_text("A reviewer is using a dev link")).to_be_visible()
    owner.get_by_role("link", name="A first look").click()
    owner.get_by_role("button", name="Revoke").click()
    asked = time.monotonic()
    expect(owner.get_by_role("heading", name="“A first look” is revoked")).to_be_visible()
    reviewer.wait_for_timeout(OUT_WITHIN_S * 1000)
    assert all(closed and closed[0] - asked < OUT_WITHIN_S for _, closed in live)
    answer = reviewer.reload()
    assert answer is not None
    assert answer.status == 410
    expect(reviewer.get_by_text("This link was withdrawn")).to_be_visible()
    owner.reload()
    expect(owner.get_by_text("1 connection cut").first).to_be_visible()

    owner.goto(workspace)
    owner.get_by_role("button", name="Sleep").click()
    expect(owner.get_by_text("It sleeps, and the meter stands")).to_be_visible(timeout=60_000)
    owner.goto(f"{cloud.console_url}/o/acme/timeline")
    told = owner.locator("#events").inner_text()
    for words in (
        "was used for the first time",
        "Alice revoked",
        "connections of",
        "is awake; 2 services ready",
    ):
        assert words in told, words
    for words in ("The meter of main started", "The meter of main stopped", "main is asleep"):
        assert words in told, words


def signed_in(cloud: Cloud, chromium: Browser, login: str) -> Page:
    page = chromium.new_context().new_page()
    page.goto(cloud.console_url)
    page.get_by_role("link", name="Sign in").first.click()
    page.locator(f'button[name="login"][value="{login}"]').click()
    page.wait_for_url(f"{cloud.console_url}/**")
    return page
