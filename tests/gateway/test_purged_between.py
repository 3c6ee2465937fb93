"""A purge that comes between a decision and its use counts (THREATS G1)."""

import asyncio

from envforge_protocol.gateway.events import Key
from tests.gateway.conftest import SESSION, Place
from tests.gateway.test_limits import Play


def test_g1_what_was_purged_before_it_could_be_used_admits_nobody(play: Play) -> None:
    """The answer has come and is kept; whoever waits for it has not gone on yet."""

    async def scene(place: Place) -> None:
        said = place.awake()
        # An open connection to the app lies ready, so that nothing more is waited for.
        assert (await place.get()).status == 200
        for entry in list(place.gateway.cache._everything()):
            place.gateway.cache.drop(entry)
        place.control.hold["resolve"] = asyncio.Event()
        asking = asyncio.create_task(place.get())
        resolver, cache = place.gateway.resolver, place.gateway.cache
        await place.until(lambda: resolver._asking)
        (task,) = resolver._asking.values()

        def purge(_: object) -> None:
            place.control.refuse(SESSION, "revoked")
            entry = cache.get(*next(iter(place_keys)))
            assert entry
            cache.purge(
                Key.model_validate({"kind": "link", "id": said["link_id"]}), entry.revision + 1, cut=True
            )

        place_keys = list(resolver._asking)
        # After the callback by which whoever waits is woken, and before it runs.
        task.add_done_callback(purge)
        place.control.hold.pop("resolve").set()
        assert (await asking).status == 410
        assert len(place.app.seen) == 1
        assert not any(entry.open for entry in cache._everything())

    play(scene)
