"""The cache's books: what is open is always found, and forgetting costs each entry the same."""

import random
import time
from uuid import UUID

from envforge_gateway.cache import Cache, Entry
from envforge_gateway.clock import now
from envforge_protocol.gateway.events import Key


class Connection:
    def __init__(self) -> None:
        self.is_shut = False
        self.cuts = 0

    def shut(self) -> None:
        self.is_shut = True

    def cut(self) -> None:
        assert self.is_shut, "clients come first"
        self.cuts += 1


def entry(cache: Cache, number: int, *, revision: int = 1, lasts_s: float = 600) -> Entry:
    return Entry(
        digest=b"%32d" % number,
        host="h",
        plan=None,
        revision=revision,
        expires_at=now() + lasts_s,
        of_link=cache.of_link(UUID(int=number % 7)),
        session_id=UUID(int=1000 + number),
        link_id=UUID(int=number % 7),
        person_id=None,
        workspace_id=UUID(int=2000 + number % 5),
        organization_id=UUID(int=3000 + number % 2),
    )


def test_whatever_happens_a_purge_finds_what_is_open_under_it() -> None:
    """A walk of keeping, opening, closing, purging and emptying, beside a plain list of what is open."""
    choose = random.Random(6)  # noqa: S311
    cache = Cache(50)
    held: list[tuple[Entry, Connection]] = []
    ended: list[Connection] = []
    revision = 1
    for number in range(6000):
        what = choose.random()
        if what < 0.4:
            made = entry(cache, choose.randrange(80), revision=revision)
            cache.keep(made)
            if choose.random() < 0.6:
                connection = Connection()
                made.opened(connection)
                held.append((made, connection))
        elif what < 0.6 and held:
            one, connection = held.pop(choose.randrange(len(held)))
            cache.closed(one, connection)
        elif what < 0.62:
            cache.empty(revision, cut=False)
        elif what < 0.95:
            revision += 1
            kind, named = choose.choice(
                [
                    ("link", choose.randrange(7)),
                    ("workspace", 2000 + choose.randrange(5)),
                    ("session", 1000 + choose.randrange(80)),
                ]
            )
            key = Key.model_validate({"kind": kind, "id": UUID(int=named)})
            under = [connection for one, connection in held if one.is_under(key)]
            assert cache.purge(key, revision, cut=True).cut == len(under)
            assert all(connection.is_shut and not connection.cuts for connection in under)
            held = [(one, connection) for one, connection in held if not one.is_under(key)]
            ended += under
        else:
            cache.settle(choose.randrange(4))
        assert cache.open == len(held)
        for link in range(7):
            expected = sum(one.link_id == UUID(int=link) for one, _ in held)
            assert cache.of_link(UUID(int=link)).open == expected, number
    while cache.settle(10):
        assert cache.open == len(held)
    assert [connection.cuts for connection in ended] == [1] * len(ended)
    assert all(made.cached or made.open for made in cache._everything())
    assert cache.empty(revision, cut=True).cut == len(held)
    assert cache.open == 0


def test_a_session_that_is_over_is_found_by_its_time() -> None:
    cache = Cache(10)
    made = entry(cache, 1, lasts_s=0.02)
    cache.keep(made)
    connection = Connection()
    made.opened(connection)
    assert cache.expire() == 0
    time.sleep(0.03)
    assert cache.get(made.digest, "h") is None
    assert cache.expire() == 1
    assert connection.is_shut
    assert list(cache._ending) == [connection]
    assert not cache.settle(1)
    assert (connection.cuts, len(cache._by_session)) == (1, 0)


def test_forgetting_many_is_not_slower_for_each() -> None:
    def forget(number: int) -> float:
        cache = Cache(100_000)
        for one in range(number):
            cache.keep(entry(cache, one))
        began = time.process_time()
        cache.purge(Key(kind="everything"), 2, cut=True)
        return (time.process_time() - began) / number

    # Ten times as many; quadratic work would cost ten times as much for each.
    assert forget(20_000) < 4 * max(forget(2_000), 1e-6)
