"""Who is out is out: at once when told, and soon enough when nothing can be told (L4, THREATS G1, G2)."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from envforge_gateway import program
from envforge_gateway.upstream import Pool, Upstream
from envforge_protocol.gateway.decisions import Refused
from envforge_protocol.gateway.events import Heartbeat
from tests.gateway.client import Client, frame
from tests.gateway.conftest import SESSION, Place
from tests.gateway.services import Seen, echo

Play = Callable[..., None]


async def endless(_seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """A download without end."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x" * 1000)
        await writer.drain()
        await asyncio.sleep(0.01)
    return False


async def opened(place: Place, session: str = SESSION) -> Client:
    """An open WebSocket."""
    client = await place.client()
    assert (await client.upgrade(session=session)).status == 101
    client.send(frame(b"hi"))
    assert await client.reader.readexactly(8)
    return client


def test_g2_nothing_is_told_as_cut_before_its_service_is_left(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G2: a purge that comes while another is being told is told only once what it cut is closed."""
    monkeypatch.setattr(program, "WATCH_EVERY_S", 60.0)

    async def scene(place: Place) -> None:
        place.app.behave = echo
        said = place.awake()
        await opened(place)
        take, open_then = place.control._acknowledgements, []

        def taken(body: bytes) -> None:
            open_then.append(len(place.gateway.tunnels))
            take(body)

        monkeypatch.setattr(place.control, "_acknowledgements", taken)
        place.control.hold["acknowledgements"] = asyncio.Event()
        place.control.purge("link", uuid4())
        await place.until(lambda: place.gateway.metrics.purges == 1)
        await asyncio.sleep(0.05)
        revision = place.control.purge("link", said["link_id"])
        await place.until(lambda: place.gateway.metrics.purges == 2)
        assert place.gateway.tunnels
        place.control.hold.pop("acknowledgements").set()
        await place.control.acknowledgement_of(revision)
        # The first was asked before the second purge; it waited, and is read once there is something to cut.
        assert open_then == [1, 0]

    play(scene)


def test_g2_a_gap_that_comes_while_another_is_told_is_told_too(play: Play) -> None:
    """G2: nothing was open at either; whoever waits for the second would wait until the next purge."""

    async def scene(place: Place) -> None:
        place.control.hold["acknowledgements"] = asyncio.Event()
        place.control.purge("link", uuid4(), lose=True)
        await place.until(lambda: place.gateway.metrics.gaps == 1)
        await asyncio.sleep(0.05)
        revision = place.control.purge("link", uuid4(), lose=True)
        await place.until(lambda: place.gateway.metrics.gaps == 2)
        place.control.hold.pop("acknowledgements").set()
        assert (await place.control.acknowledgement_of(revision)).emptied

    play(scene)


@pytest.mark.parametrize("kind", ["link", "session", "workspace", "organization", "everything"])
def test_g1_a_purge_cuts_what_is_open_and_says_how_many(play: Play, kind: str) -> None:
    async def scene(place: Place) -> None:
        place.app.behave = echo
        said = place.awake()
        other = place.awake("o" * 43)
        sockets = [await opened(place) for _ in range(3)]
        kept = await opened(place, "o" * 43)
        place.app.behave = endless
        download = await place.client()
        download.ask("/big", session=SESSION)
        await download.reader.readuntil(b"\r\n\r\n")
        place.control.refuse(SESSION, "revoked")
        named = None if kind == "everything" else said[f"{kind}_id"]
        revision = place.control.purge(kind, named)
        told = await place.control.acknowledgement_of(revision)
        assert told.applied[-1].cut == (5 if kind == "everything" else 4)
        for client in (*sockets, download):
            assert await client.is_closed(0.5)
        got = await place.get(fields=("Accept: text/html",))
        assert got.status == 410
        assert "withdrawn" in got.text
        assert got.get("clear-site-data") == '"cache", "storage"'
        assert (await kept.is_closed(0.1)) == (kind == "everything")
        assert other["link_id"] != said["link_id"]

    play(scene)


def test_g1_a_members_connections_end_with_the_person(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.app.behave = echo
        person = uuid4()
        place.awake(link_id=None, person_id=person)
        client = await opened(place)
        place.control.refuse(SESSION, "signed_out")
        place.control.purge("person", person)
        assert await client.is_closed(0.5)
        assert (await place.get()).status == 401

    play(scene)


def test_g1_a_socket_opened_under_an_earlier_decision_is_found_by_later_purges(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.app.behave = echo
        said = place.awake()
        client = await opened(place)
        revision = place.control.purge("workspace", said["workspace_id"], cut=False)
        assert (await place.control.acknowledgement_of(revision)).applied[-1].cut == 0
        assert (await place.get()).status == 200
        revision = place.control.purge("link", said["link_id"])
        assert (await place.control.acknowledgement_of(revision)).applied[-1].cut == 1
        assert await client.is_closed(0.5)

    play(scene)


def test_g1_a_decision_older_than_its_purge_is_discarded(play: Play) -> None:
    async def scene(place: Place) -> None:
        said = place.awake()
        place.control.hold["resolve"] = asyncio.Event()
        asking = asyncio.create_task(place.get())
        await asyncio.sleep(0.05)
        # The control plane decides now, at the revision of now; the answer is on its way while the link goes.
        stale = place.control.sessions[next(iter(place.control.sessions))]()
        answers = iter([stale])
        place.control.sessions[next(iter(place.control.sessions))] = lambda: next(answers, refused)
        refused = stale.model_copy(
            update={"decision": None, "refused": Refused(word="revoked"), "revision": stale.revision + 1}
        )
        revision = place.control.purge("link", said["link_id"])
        await place.control.acknowledgement_of(revision)
        place.control.hold["resolve"].set()
        assert (await asking).status == 410
        assert len(place.control.asked_for("resolve")) == 2
        assert place.app.seen == []

    play(scene)


def test_g1_silence_refuses_new_requests_then_cuts_what_is_open(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.app.behave = echo
        place.awake()
        client = await opened(place)
        place.control.heartbeats = False
        place.control.down |= {"events"}
        await place.until(lambda: not place.gateway.freshness.may_serve, 4)
        got = await place.get(fields=("Accept: text/html",))
        assert (got.status, got.get("retry-after")) == (503, "1")
        # Nobody knows, so nothing is taken away either.
        assert got.get("clear-site-data") is None
        client.send(frame(b"on"))
        assert await client.reader.readexactly(8)
        assert await client.is_closed(4)
        assert place.gateway.metrics.connections_cut == 1
        assert await place.health() == 503
        place.control.heartbeats = True
        place.control.down.clear()
        await place.until(lambda: place.gateway.freshness.may_serve)
        # Emptied before it served again.
        before = len(place.control.asked_for("resolve"))
        assert (await place.get()).status == 200
        assert len(place.control.asked_for("resolve")) == before + 1

    play(scene)


def test_g1_a_stalled_stream_is_silence_although_its_connection_is_up(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        assert (await place.get()).status == 200
        place.control.heartbeats = False
        await place.until(lambda: not place.gateway.freshness.may_serve, 4)
        assert (await place.get()).status == 503

    play(scene)


def test_g1_heartbeats_that_lay_in_a_buffer_refresh_nothing(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        place.control.heartbeats = False
        await place.until(lambda: not place.gateway.freshness.may_serve, 4)
        old = datetime.now(UTC) - timedelta(seconds=3)
        for step in range(20):
            place.control.say(
                Heartbeat(revision=place.control.revision, at=old + timedelta(milliseconds=step))
            )
            await asyncio.sleep(0.005)
        assert (await place.get()).status == 503
        # From the future: one of two clocks stood still, and both are compared again first.
        place.control.say(
            Heartbeat(revision=place.control.revision, at=datetime.now(UTC) + timedelta(seconds=30))
        )
        await asyncio.sleep(0.05)
        assert (await place.get()).status == 503

    play(scene)


@pytest.mark.parametrize("how", ["heartbeat", "next_purge", "new_stream"])
def test_g1_a_gap_empties_the_cache_and_cuts_everything(play: Play, how: str) -> None:
    async def scene(place: Place) -> None:
        place.app.behave = echo
        said = place.awake()
        client = await opened(place)
        place.control.refuse(SESSION, "revoked")
        place.control.heartbeats = how == "heartbeat"
        if how == "new_stream":
            place.control.break_streams()
            place.control.purge("link", said["link_id"], lose=True)
            place.control.heartbeats = True
        else:
            place.control.purge("link", said["link_id"], lose=True)
            if how == "next_purge":
                place.control.purge("link", uuid4())
                place.control.heartbeats = True
        assert await client.is_closed(1)
        await place.until(lambda: place.gateway.freshness.may_serve)
        assert (await place.get()).status == 410
        told = await place.control.acknowledgement_of(place.control.revision)
        assert told.emptied
        assert told.cut_all == 1
        assert place.gateway.metrics.gaps == 1

    play(scene)


def test_g1_after_a_gap_the_same_routes_are_dialled_anew(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        assert (await place.get()).status == 200
        # Somebody still holds what was decided before, as a request that is under way does.
        [entry] = place.gateway.cache._by_digest.values()
        held = entry.plan
        place.control.purge("link", uuid4(), lose=True)
        await place.until(lambda: place.gateway.metrics.gaps)
        await place.until(lambda: place.gateway.freshness.may_serve)
        assert held is not None
        assert held.is_withdrawn
        assert (await place.get()).status == 200

    play(scene)


def test_g1_a_stream_that_comes_back_in_time_keeps_what_is_known(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.app.behave = echo
        place.awake()
        client = await opened(place)
        place.control.break_streams()
        await asyncio.sleep(0.3)
        assert not await client.is_closed(0.05)
        assert place.gateway.metrics.gaps == 0
        assert (await place.get()).status == 200
        assert len(place.control.asked_for("resolve")) == 1

    play(scene)


def test_g1_a_lost_identity_is_another_gateway_with_nothing_known(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.app.behave = echo
        place.awake()
        client = await opened(place)
        place.control.token = "another"
        place.control.break_streams()
        assert await client.is_closed(4)
        await place.until(lambda: place.gateway.freshness.may_serve)
        assert place.control.registrations == 2
        assert (await place.get()).status == 200

    play(scene)


def test_g1_the_identity_is_renewed_before_it_ends(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.control.renew_after_s = 1
        await place.stop_gateway()
        await place.start_gateway()
        await asyncio.sleep(1.2)
        assert place.control.registrations == 2
        assert place.gateway.freshness.may_serve

    play(scene)


def test_a_session_ends_with_its_time_and_so_does_what_is_open(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.app.behave = echo
        place.awake(expires_at=datetime.now(UTC) + timedelta(seconds=1))
        client = await opened(place)
        assert await client.is_closed(4)
        place.control.refuse(SESSION, "expired")
        assert (await place.get()).status == 410

    play(scene)


def test_g2_a_withdrawn_route_is_dialled_no_more(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.app.behave = echo
        said = place.awake()
        client = await opened(place)
        assert (await place.get()).status == 200
        neighbour = await place.more("neighbour")
        said["runtime"] = {
            "state": "awake",
            "epoch": 2,
            "ingress": [{"service": "web", "address": "127.0.0.1", "port": neighbour.port}],
        }
        revision = place.control.purge("route", said["workspace_id"], epoch=1)
        assert (await place.control.acknowledgement_of(revision)).applied[-1].cut == 1
        assert await client.is_closed(0.5)
        await place.until(lambda: not place.app.open)
        before = len(place.app.seen)
        assert (await place.get()).text == "neighbour"
        # A late purge of the old epoch leaves the new one alone.
        kept = await place.client()
        assert (await kept.get(session=SESSION)).text == "neighbour"
        place.control.purge("route", said["workspace_id"], epoch=1)
        assert (await kept.get(session=SESSION)).text == "neighbour"
        assert len(place.app.seen) == before

    play(scene)


def test_g2_a_connection_made_while_the_route_went_carries_nothing(play: Play) -> None:
    async def scene(place: Place) -> None:
        said = place.awake()
        pool_connect = asyncio.Event()

        original = Pool.connect

        async def late(self: Pool, timeout_s: float) -> Upstream:
            made = await original(self, timeout_s)
            await pool_connect.wait()
            return made

        Pool.connect = late  # type: ignore[method-assign]
        try:
            asking = asyncio.create_task(place.get())
            await place.until(lambda: place.app.connections)
            place.control.refuse(SESSION, "revoked")
            revision = place.control.purge("link", said["link_id"])
            await place.control.acknowledgement_of(revision)
            pool_connect.set()
            assert (await asking).status == 410
            assert place.app.seen == []
        finally:
            Pool.connect = original  # type: ignore[method-assign]

    play(scene)
