"""What could be read in two ways is refused, and never reaches an app (THREATS G3)."""

import asyncio
from collections.abc import Callable

import pytest

from tests.gateway.conftest import SESSION, Place
from tests.gateway.double import HOST, OTHER_HOST

Play = Callable[..., None]
COOKIE = f"Cookie: __Host-envforge={SESSION}\r\n"
GOOD = f"Host: {HOST}\r\n{COOKIE}"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (f"POST / HTTP/1.1\r\n{GOOD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX", 400),
        (f"POST / HTTP/1.1\r\n{GOOD}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\nX", 400),
        (f"POST / HTTP/1.1\r\n{GOOD}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        (f"POST / HTTP/1.1\r\n{GOOD}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
        (f"POST / HTTP/1.1\r\n{GOOD}Content-Length: 5, 5\r\n\r\nhello", 400),
        (f"POST / HTTP/1.1\r\n{GOOD}Content-Length: +5\r\n\r\nhello", 400),
        (f"POST / HTTP/1.1\r\n{GOOD}Content-Length: 0x5\r\n\r\nhello", 400),
        (f"POST / HTTP/1.1\r\n{GOOD}Content-Length: -1\r\n\r\n", 400),
        (f"POST / HTTP/1.1\r\n{GOOD}Content-Length : 5\r\n\r\nhello", 400),
        (f"POST / HTTP/1.1\r\n{GOOD}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
        (f"POST / HTTP/1.1\r\n{GOOD}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
        (f"POST / HTTP/1.1\r\n{GOOD}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (f"POST / HTTP/1.1\r\n{GOOD}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", 400),
        (f"POST / HTTP/1.1\r\n{GOOD}Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n", 400),
        (f"POST / HTTP/1.0\r\n{GOOD}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\n{GOOD}X: a\r\n folded\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\n{GOOD}X: a\nY: b\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\n{GOOD}X: a\rY: b\r\n\r\n", 400),
        (f"GET / HTTP/1.1\n{GOOD}\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\n{GOOD}X: a\0b\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\n{GOOD}X Y: a\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\n{GOOD}: a\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\n{COOKIE}\r\n", 400),
        (f"GET / HTTP/1.1\r\n{GOOD}Host: {OTHER_HOST}\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\n{GOOD}Host: {HOST}\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\nHost: {HOST}@{OTHER_HOST}\r\n{COOKIE}\r\n", 400),
        (f"GET / HTTP/1.1\r\nHost: {HOST}/x\r\n{COOKIE}\r\n", 400),
        (f"GET / HTTP/1.1\r\nHost: {HOST}..\r\n{COOKIE}\r\n", 400),
        (f"GET / HTTP/1.1\r\nHost: {HOST}, {OTHER_HOST}\r\n{COOKIE}\r\n", 400),
        (f"GET / HTTP/1.1\r\nHost:\r\n{COOKIE}\r\n", 400),
        (f"GET https://{OTHER_HOST}/ HTTP/1.1\r\n{GOOD}\r\n", 400),
        (f"GET ftp://{HOST}/ HTTP/1.1\r\n{GOOD}\r\n", 400),
        (f"GET //{OTHER_HOST} HTTP/1.1\r\nHost: other.example\r\n{COOKIE}\r\n", 421),
        (f"GET / HTTP/1.1\r\nHost: {HOST}:8443\r\n{COOKIE}\r\n", 421),
        (f"GET x HTTP/1.1\r\n{GOOD}\r\n", 400),
        (f"GET /a b HTTP/1.1\r\n{GOOD}\r\n", 400),
        (f"GET /#x HTTP/1.1\r\n{GOOD}\r\n", 400),
        (f"GET /\xe9 HTTP/1.1\r\n{GOOD}\r\n", 400),
        (f"GET /%zz HTTP/1.1\r\n{GOOD}\r\n", 400),
        (f"GET /% HTTP/1.1\r\n{GOOD}\r\n", 400),
        (f"GET /../x HTTP/1.1\r\n{GOOD}\r\n", 400),
        (f"GET /a/%2e%2E/%2e./x HTTP/1.1\r\n{GOOD}\r\n", 400),
        (f"OPTIONS * HTTP/1.1\r\n{GOOD}\r\n", 400),
        (f"CONNECT {HOST}:443 HTTP/1.1\r\n{GOOD}\r\n", 405),
        (f"TRACE / HTTP/1.1\r\n{GOOD}\r\n", 405),
        (f"get / HTTP/1.1\r\n{GOOD}\r\n", 400),
        (f"GET / HTTP/2.0\r\n{GOOD}\r\n", 400),
        (f"GET / HTTP/1.2\r\n{GOOD}\r\n", 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\n{GOOD}Expect: 200-ok\r\n\r\n", 417),
        (f"GET / HTTP/1.1\r\n{GOOD}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\n{GOOD}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\n{GOOD}Upgrade: websocket\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\n{GOOD}Connection: Cookie, Content-Length\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\nHost: {HOST}\r\n{COOKIE.strip()}; __Host-envforge={'t' * 43}\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\n{GOOD}Cookie: __Host-envforge={'t' * 43}\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\n{GOOD}Authorization: a\r\nAuthorization: b\r\n\r\n", 400),
        ("\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
    ],
)
def test_g3_refused_before_anything_is_decided(play: Play, head: str, status: int) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        client = await place.client()
        client.send(head.encode("latin-1"))
        got = await client.answer()
        assert (
            got.status in {status, 505} if "HTTP/1.2" in head or "HTTP/2.0" in head else got.status == status
        )
        assert await client.is_closed() or status == 421
        assert place.app.seen == []

    play(scene)


@pytest.mark.parametrize(
    "body",
    [
        b"5\nhello\n0\n\n",
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"5 5\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\n",
        b"5" + b";x" * 400 + b"\r\nhello\r\n0\r\n\r\n",
        b"5;a\nb\r\nhello\r\n0\r\n\r\n",
        b"0\r\n" + b"X: y\r\n" * 4000 + b"\r\n",
    ],
)
def test_g3_broken_chunks_end_the_connection(play: Play, body: bytes) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        client = await place.client()
        client.ask(method="POST", session=SESSION, fields=("Transfer-Encoding: chunked",))
        client.send(body)
        client.ask("/smuggled", session=SESSION)
        assert await client.is_closed()
        await asyncio.sleep(0.02)
        assert [one.target for one in place.app.seen if one.target != "/"] == []

    play(scene)


@pytest.mark.parametrize(
    ("asked", "forwarded"),
    [
        ("/a/./b/../c", "/a/c"),
        ("/a/%2e%2e/b", "/b"),
        ("/%61%7Eb", "/a~b"),
        ("/a%2fb", "/a%2Fb"),
        ("/a//b", "/a//b"),
        ("/a/b/..", "/a/"),
        ("/a?x=../%2e#".rstrip("#"), "/a?x=../%2e"),
        (f"https://{HOST}/abs?q", "/abs?q"),
        (f"HTTPS://{HOST.upper()}", "/"),
    ],
)
def test_g3_the_path_that_is_matched_is_the_one_forwarded(play: Play, asked: str, forwarded: str) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        assert (await place.get(asked)).status == 200
        assert place.app.seen[0].target == forwarded

    play(scene)


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/api",
            "/api/",
            "/api/users",
            "/%61pi/users",
            "/x/../api/users",
            "/x/%2e%2e/api",
            "//api",
            "/x/..//api",
        ),
        *("/API/users", "/Api", "/./api"),
    ],
)
def test_g3_a_session_without_api_does_not_reach_it_however_it_is_spelled(play: Play, path: str) -> None:
    async def scene(place: Place) -> None:
        place.awake(surfaces=["web", "assets", "websockets"])
        assert (await place.get("/apiary")).status == 200
        assert (await place.get(path)).status == 403
        assert [one.target for one in place.app.seen] == ["/apiary"]
        await place.until(lambda: [one for batch in place.control.batches for one in batch.denials])
        denial = next(one for batch in place.control.batches for one in batch.denials)
        assert (denial.word, denial.count) == ("surface", 1)

    play(scene)


@pytest.mark.parametrize(
    "path",
    ["/web%2fapi", "/web%2Fx", "/x%5cy", "/x\\y", "/x%00", "/api;x", "/;/api", "/%252e%252e/api", "/%2561pi"],
)
def test_g3_where_a_path_rule_applies_doubtful_paths_are_refused(play: Play, path: str) -> None:
    async def scene(place: Place) -> None:
        place.awake(surfaces=["web"])
        assert (await place.get(path)).status == 400
        assert place.app.seen == []

    play(scene)


def test_g3_each_surface_has_its_declared_routes_and_no_others(play: Play) -> None:
    async def scene(place: Place) -> None:
        routes = {"api": ["/v1"], "assets": ["/v1/static", "/static"], "websockets": ["/live"], "forward": []}
        place.awake(surfaces=["api", "websockets"], routes=routes)
        reached = {"/v1": 200, "/v1/x": 200, "/v1/static/a": 403, "/static": 403, "/": 403, "/v10": 403}
        for path, status in reached.items():
            got = await place.get(path, fields=("Sec-Fetch-Site: same-origin", "Sec-Fetch-Dest: script"))
            assert (path, got.status) == (path, status)
        client = await place.client()
        assert (await client.upgrade("/v1/ws", session=SESSION)).status == 403

    play(scene)


def test_forwarded_routes_lead_to_another_service_of_the_workspace(play: Play) -> None:
    async def scene(place: Place) -> None:
        backend = await place.more("backend")
        place.awake(
            routes={
                "forward": [
                    {"prefix": "/api", "service": "backend"},
                    {"prefix": "/api/own", "service": "web"},
                ]
            },
            runtime={
                "state": "awake",
                "epoch": 1,
                "ingress": [
                    {"service": "web", "address": "127.0.0.1", "port": place.app.port},
                    {"service": "backend", "address": "127.0.0.1", "port": backend.port},
                ],
            },
        )
        client = await place.client()
        told = [
            (await client.get(path, session=SESSION)).text
            for path in ("/", "/api", "/api/x", "/api/own/x", "/apix")
        ]
        assert told == ["hello", "backend", "backend", "hello", "hello"]
        assert [one.target for one in backend.seen] == ["/api", "/api/x"]

    play(scene)


@pytest.mark.parametrize(
    "path",
    [
        "/.envforge",
        "/.envforge/x",
        "/%2eenvforge/x",
        "/.ENVFORGE/x",
        "//.envforge/x",
        "/%2Eenv%66orge",
        "/x/../.envforge/y",
    ],
)
def test_g4_reserved_paths_never_reach_an_app(play: Play, path: str) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        assert (await place.get(path)).status == 404
        assert (await place.get("/.envforgery")).status == 200
        assert [one.target for one in place.app.seen] == ["/.envforgery"]

    play(scene)
