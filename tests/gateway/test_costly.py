"""What costs a client little must cost the gateway little: everybody else's requests wait meanwhile."""

import time
from contextlib import suppress

import pytest

from envforge_gateway import paths
from envforge_gateway.errors import BadRequest
from envforge_gateway.heads import Reader
from tests.gateway.conftest import SESSION, Place
from tests.gateway.double import HOST
from tests.gateway.test_heads import CONFIG
from tests.gateway.test_limits import Play

# Generous: these take milliseconds where they are linear, and hours or tens of seconds where they are not.
WITHIN_S = 1.0


@pytest.mark.parametrize(
    "path", [b"/" + b"a" * 5000 + b"%20", b"/" + b"a/" * 5000 + b"%20", b"/" + b"a." * 5000 + b"|"]
)
def test_the_time_a_path_takes_grows_no_faster_than_it(path: bytes) -> None:
    began = time.monotonic()
    assert paths.split(path)[0] == path
    assert time.monotonic() - began < WITHIN_S


@pytest.mark.parametrize(
    "path", [b"/.x", b"/a/.x", b"/a//b", b"/./a", b"/a/../b", b"/..", b"/a/..", b"//", b"", b"a"]
)
def test_paths_that_are_not_plain_are_looked_at(path: bytes) -> None:
    """The short way is for paths without dot segments and empty ones alone."""
    try:
        found = paths.split(path)[0]
    except BadRequest:
        return
    assert not {b".", b".."} & set(found.split(b"/"))


@pytest.mark.parametrize(
    "target", ["/" + "a" * 30_000, "/a" * 15_000, "/?" + "a?" * 15_000, "/" + "a." * 15_000]
)
@pytest.mark.parametrize("ending", [" HTTP/1.1", " HTTP/1.0", "| HTTP/1.1", "# HTTP/1.1", ""])
def test_the_time_a_target_takes_grows_no_faster_than_it(target: str, ending: str) -> None:
    reader = Reader(CONFIG)
    head = f"GET {target}{ending}\r\nHost: {HOST}\r\nCookie: {'; ' * 10_000}\r\n\r\n".encode()
    began = time.monotonic()
    for _ in range(3):
        with suppress(BadRequest):
            reader.read(head, "10.1.2.3", True)
    assert time.monotonic() - began < WITHIN_S


def test_empty_lines_before_a_request_are_passed_over_at_once(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        client = await place.client()
        client.send(b"\r\n" * 1_000_000)
        began = time.monotonic()
        assert (await client.get(session=SESSION)).status == 200
        assert time.monotonic() - began < 3 * WITHIN_S

    play(scene)
