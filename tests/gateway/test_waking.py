"""Requests to a workspace that sleeps (L6, W6, W7, THREATS G5)."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from envforge_gateway import waking
from envforge_protocol.gateway.waking import Step, WakeAnswer, WakeRequest
from tests.gateway.conftest import SESSION, Place
from tests.gateway.services import echo

Play = Callable[..., None]
NAVIGATION = (
    "Sec-Fetch-Site: none",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Dest: document",
    "Accept: text/html,*/*",
)
POLL = ("Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", "Accept: */*")
ORIGIN = "Origin: https://web--main--acme.dev.test"


def wakes(place: Place, said: dict[str, Any]) -> None:
    """The runtime comes up, as the control plane tells it."""
    said["runtime"] = {
        "state": "awake",
        "epoch": 1,
        "ingress": [{"service": "web", "address": "127.0.0.1", "port": place.app.port}],
    }
    place.control.purge("workspace", said["workspace_id"], cut=False)


def test_a_person_sees_progress_and_then_the_app(play: Play) -> None:
    async def scene(place: Place) -> None:
        said = place.control.session(SESSION, workspace="checkout <b>")
        steps = (
            Step(words="Starting the machine", state="done"),
            Step(words="Starting web & co", state="now"),
        )
        place.control.wake = lambda _: WakeAnswer(revision=10, state="waking", estimate_s=12, steps=steps)
        got = await place.get(fields=NAVIGATION)
        assert got.status == 503
        assert "Waking checkout &lt;b&gt;" in got.text
        assert "Starting web &amp; co" in got.text
        assert "About 12 seconds" in got.text
        assert "http" not in got.text.replace("http-equiv", "")
        assert "default-src 'none'" in (got.get("content-security-policy") or "")
        looked = json.loads((await place.get("/.envforge/progress", fields=POLL)).body)
        assert (looked["state"], looked["steps"][1]["state"]) == ("waking", "now")
        wakes(place, said)
        await place.until(lambda: place.gateway.metrics.purges)
        assert json.loads((await place.get("/.envforge/progress", fields=POLL)).body) == {"state": "awake"}
        assert (await place.get(fields=NAVIGATION)).text == "hello"
        assert place.control.asked_for("wake")[0].cause == "navigation"

    play(scene)


def test_programs_get_json_and_a_time_to_come_back(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.control.session(SESSION)
        for given in ({"method": "POST", "body": b"x"}, {"fields": ("Accept: application/json",)}):
            got = await place.get("/api/x", **given)
            assert (got.status, got.get("retry-after")) == (503, "3")
            assert got.get("content-type") == "application/problem+json"
            assert json.loads(got.body)["word"] == "waking"
            assert json.loads(got.body)["estimate_s"] == 8

    play(scene)


def test_a_thousand_requests_are_one_wake(play: Play) -> None:
    async def scene(place: Place) -> None:
        said = place.control.session(SESSION)
        for number in range(9):
            place.control.session(f"{number}" * 43, **{**said, "session_id": said["session_id"]})
        place.control.hold["wake"] = asyncio.Event()

        async def many(session: str) -> list[int]:
            client = await place.client()
            statuses = [(await client.get(session=session)).status for _ in range(10)]
            client.close()
            return statuses

        asking = [asyncio.create_task(many(f"{number % 9}" * 43)) for number in range(100)]
        await asyncio.sleep(0.2)
        place.control.hold["wake"].set()
        assert {status for task in asking for status in await task} == {503}
        assert len(place.control.asked_for("wake")) <= 2

    play(scene)


def test_a_websocket_is_held_until_the_app_is_there(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.app.behave = echo
        said = place.control.session(SESSION)
        client = await place.client()
        asking = asyncio.create_task(client.upgrade(session=SESSION))
        await place.until(lambda: place.control.asked_for("wake"))
        assert not asking.done()
        place.control.purge("workspace", said["workspace_id"], cut=False)
        await asyncio.sleep(0.05)
        assert not asking.done()
        wakes(place, said)
        assert (await asking).status == 101
        assert place.control.asked_for("wake")[0].cause == "websocket"

    play(scene)


def test_a_websocket_is_not_held_for_ever(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.control.session(SESSION)
        client = await place.client()
        got = await client.upgrade(session=SESSION)
        assert (got.status, got.get("retry-after")) == (503, "3")

    play(scene, websocket_hold_s=0.3)


def test_held_websockets_are_counted(play: Play) -> None:
    """A sleeping workspace's sockets wait for it, but no more of them than may be open."""

    async def scene(place: Place) -> None:
        place.control.session(SESSION)
        held: list[asyncio.Task[Any]] = []
        for _ in range(2):
            held.append(asyncio.create_task((await place.client()).upgrade(session=SESSION)))
            await place.until(lambda: len(place.control.asked_for("wake")) >= len(held))
        assert (await (await place.client()).upgrade(session=SESSION)).status == 429
        assert not any(one.done() for one in held)
        for one in held:
            one.cancel()

    play(scene, connections_per_link=2)


def test_a_held_websocket_ends_with_its_session(play: Play) -> None:
    async def scene(place: Place) -> None:
        said = place.control.session(SESSION)
        client = await place.client()
        asking = asyncio.create_task(client.upgrade(session=SESSION))
        await place.until(lambda: place.control.asked_for("wake"))
        place.control.refuse(SESSION, "revoked")
        place.control.purge("link", said["link_id"])
        assert (await asking).status == 410

    play(scene)


@pytest.mark.parametrize("word", ["wake_budget", "cap", "tailscale_only", "paused"])
def test_g5_a_wake_that_is_refused_says_why(play: Play, word: str) -> None:
    async def scene(place: Place) -> None:
        place.control.session(SESSION)
        place.control.wake = lambda _: WakeAnswer(revision=10, state="refused", word=word)
        got = await place.get(fields=NAVIGATION)
        assert got.status in {503, 403}
        assert "Waking" not in got.text
        assert json.loads((await place.get(method="POST")).body)["word"] == word

    play(scene)


def test_g5_one_sessions_refusal_is_not_anothers(play: Play) -> None:
    async def scene(place: Place) -> None:
        said = place.control.session(SESSION)
        place.control.session("b" * 43, workspace_id=said["workspace_id"])
        spent = said["link_id"]

        def wake(asked: WakeRequest) -> WakeAnswer:
            if len(place.control.asked_for("wake")) == 1:
                return WakeAnswer(revision=10, state="refused", word="wake_budget")
            return WakeAnswer(revision=10, state="waking")

        place.control.wake = wake
        assert "Asleep" in (await place.get(fields=NAVIGATION)).text
        assert "Waking" in (await place.get(session="b" * 43, fields=NAVIGATION)).text
        assert spent

    play(scene)


def test_nothing_wakes_for_a_session_that_does_not_hold(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.control.refuse(SESSION, "revoked")
        assert (await place.get(fields=NAVIGATION)).status == 410
        assert (await place.get(session=None, fields=NAVIGATION)).status == 401
        assert (await place.get(session="z" * 43, fields=NAVIGATION)).status == 401
        place.control.session("l" * 43, surfaces=["api"])
        assert (await place.get(session="l" * 43, fields=NAVIGATION)).status == 403
        assert place.control.asked_for("wake") == []

    play(scene)


def test_w7_a_page_left_open_wakes_nothing_by_polls_and_sockets(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(place: Place) -> None:
        said = place.awake()
        assert (await place.get(fields=NAVIGATION)).status == 200
        said["runtime"] = {"state": "asleep"}
        place.control.purge("workspace", said["workspace_id"])
        await place.until(lambda: place.gateway.metrics.purges)
        monkeypatch.setattr(waking, "RECENT_S", 0.2)
        await asyncio.sleep(0.25)
        for _ in range(5):
            assert (await place.get("/poll", fields=POLL)).status == 503
            client = await place.client()
            assert (await client.upgrade(session=SESSION, fields=(ORIGIN,))).status == 503
        assert place.control.asked_for("wake") == []
        # Its person comes back.
        assert (await place.get("/save", method="POST", fields=(ORIGIN, *POLL))).status == 503
        assert len(place.control.asked_for("wake")) == 1

    play(scene)
