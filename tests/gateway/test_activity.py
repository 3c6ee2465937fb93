"""What sessions did is counted, and told in batches: soon where somebody acted, now and then where a page only looked (W7)."""

import asyncio
from collections.abc import Callable

from envforge_gateway.activity import BACKGROUND_EVERY, Activity
from envforge_gateway.cache import Cache, Entry
from envforge_gateway.requests import Request
from envforge_protocol.gateway.activity import MOST_ENTRIES
from tests.gateway.conftest import Place
from tests.gateway.test_cache import entry

Play = Callable[..., None]


def sessions(number: int) -> list[Entry]:
    cache = Cache(number)
    return [entry(cache, one) for one in range(number)]


def look() -> Request:
    return Request()


def write() -> Request:
    request = Request()
    request.is_act = True
    return request


def total(place: Place, what: str) -> int:
    return sum(getattr(one, what) for batch in place.control.batches for one in batch.sessions)


def test_navigations_writes_and_polls_are_told_apart(play: Play) -> None:
    async def scene(place: Place) -> None:
        said = place.awake()
        same = "Sec-Fetch-Site: same-origin"
        await place.get(
            fields=("Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
        )
        await place.get(method="POST", fields=(same, "Sec-Fetch-Mode: cors"), body=b"x")
        await place.get(method="DELETE")
        for _ in range(4):
            await place.get(fields=(same, "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"))
        await place.until(lambda: total(place, "background") == 4)
        assert (total(place, "navigations"), total(place, "unsafe")) == (1, 2)
        told = place.control.batches[0].sessions[0]
        assert (told.session_id, told.link_id, told.service) == (said["session_id"], said["link_id"], "web")

    play(scene)


def test_activity_that_was_not_taken_is_told_again(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        place.control.down.add("activity")
        for _ in range(3):
            await place.get(method="POST")
            await asyncio.sleep(0.1)
        place.control.down.clear()
        await place.until(lambda: total(place, "unsafe") == 3)
        await asyncio.sleep(0.15)
        assert total(place, "unsafe") == 3
        assert len({batch.id for batch in place.control.batches}) == len(place.control.batches)

    play(scene)


def test_who_acts_is_told_of_at_once_and_who_looks_now_and_then(play: Play) -> None:
    async def scene(place: Place) -> None:
        # Of its own: the process's is told by the clock.
        activity = Activity(place.gateway.control)
        looking, acting = sessions(2)
        for number in range(1, BACKGROUND_EVERY + 1):
            activity.request(looking, look())
            activity.request(acting, look())
            activity.request(acting, write())
            await activity.flush()
            # With whoever acts goes what it looked at.
            assert (total(place, "unsafe"), len(place.control.batches)) == (number, number)
            last = number == BACKGROUND_EVERY
            assert total(place, "background") == (number * 2 if last else number)
        looked, acted = (
            [one for batch in place.control.batches for one in batch.sessions if one.session_id == told]
            for told in (looking.session_id, acting.session_id)
        )
        assert [(one.background, one.active_at) for one in looked] == [(BACKGROUND_EVERY, None)]
        assert looked[0].background_at
        assert all(one.active_at for one in acted)
        activity.request(looking, look())
        await activity.flush(everything=True)
        assert total(place, "background") == BACKGROUND_EVERY * 2 + 1

    play(scene)


def test_many_sessions_are_told_of_part_by_part_and_each_once(play: Play) -> None:
    """While one part is on its way, sessions of a later one go on; nothing is told twice or lost."""

    async def scene(place: Place) -> None:
        activity = Activity(place.gateway.control)
        many = sessions(MOST_ENTRIES * 2 + 500)
        for one in many:
            activity.request(one, look())
        telling = asyncio.create_task(activity.flush(everything=True))
        await asyncio.sleep(0)
        for one in many:
            activity.request(one, look())
            activity.request(one, write())
        await telling
        assert [len(batch.sessions) for batch in place.control.batches] == [MOST_ENTRIES, MOST_ENTRIES, 500]
        await activity.flush(everything=True)
        assert total(place, "background") == len(many) * 2
        assert total(place, "unsafe") == len(many)

    play(scene)


def test_what_could_not_be_told_goes_on_counting(play: Play) -> None:
    async def scene(place: Place) -> None:
        activity = Activity(place.gateway.control)
        many = sessions(MOST_ENTRIES + 10)
        place.control.down.add("activity")
        for _ in range(3):
            for one in many:
                activity.request(one, write())
            await activity.flush()
        assert not place.control.batches
        place.control.down.clear()
        await activity.flush()
        assert total(place, "unsafe") == len(many) * 3
        assert len({batch.id for batch in place.control.batches}) == len(place.control.batches) == 3

    play(scene)
