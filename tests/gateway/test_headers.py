"""What of a request the app sees, and what of its answer the client sees."""

import asyncio
from collections.abc import Callable

import pytest

from envforge_gateway.networks import network
from tests.gateway.conftest import SESSION, Place
from tests.gateway.double import DOMAIN, HOST, OTHER_HOST
from tests.gateway.services import Seen, answer

Play = Callable[..., None]


def test_the_session_cookie_never_reaches_the_app_and_its_own_do(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        await place.get(
            session=None,
            fields=(f"Cookie: a=1; __Host-envforge={SESSION};b=2", "Cookie: __Host-envforge-state=x; c=3"),
        )
        seen = place.app.seen[0]
        assert seen.get("cookie") == "a=1; b=2; c=3"
        assert not any(
            "envforge" in value.lower() for name, value in seen.fields if "host" not in name.lower()
        )
        await place.get()
        assert place.app.seen[1].get("cookie") is None

    play(scene)


def test_spoofed_headers_are_replaced(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        await place.get(
            fields=(
                "X-Forwarded-For: 6.6.6.6",
                "X-Forwarded-Host: evil.example",
                "X-Forwarded-Proto: gopher",
                "X_Forwarded_For: 6.6.6.6",
                "X-Forwarded_Proto: x",
                "Forwarded: for=6.6.6.6",
                "X-Real-IP: 6.6.6.6",
                "X-EnvForge-Person: root",
                "X-Original-URL: /admin",
                "Keep-Alive: 3",
                "Proxy-Authorization: x",
                "TE: trailers",
                "Connection: X-Drop",
                "X-Drop: me",
                "X-Requested-With: fetch",
            )
        )
        seen = place.app.seen[0]
        assert seen.get("x-forwarded-for") == "127.0.0.1"
        assert seen.get("x-forwarded-host") == HOST
        assert seen.get("x-forwarded-proto") == "https"
        assert seen.get("x-requested-with") == "fetch"
        names = sorted(name.lower() for name, _ in seen.fields)
        assert names == [
            "host",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-requested-with",
        ]

    play(scene)


@pytest.mark.parametrize(
    ("trusted", "given", "client"),
    [
        ("", "203.0.113.7", "127.0.0.1"),
        ("127.0.0.0/8", "203.0.113.7", "203.0.113.7"),
        ("127.0.0.0/8", "6.6.6.6, 203.0.113.7, 127.0.0.9", "203.0.113.7"),
        ("127.0.0.0/8", "not-an-address", "127.0.0.1"),
        ("10.0.0.0/8", "203.0.113.7", "127.0.0.1"),
    ],
)
def test_only_configured_peers_are_believed_about_clients(
    play: Play, trusted: str, given: str, client: str
) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        await place.get(fields=(f"X-Forwarded-For: {given}",))
        assert place.app.seen[0].get("x-forwarded-for") == client

    play(scene, trusted_peers=trusted)


def test_g4_cookies_for_the_whole_domain_and_the_gateways_own_are_dropped(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()

        async def cookies(seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            answer(
                writer,
                b"x",
                "Set-Cookie: own=1; Path=/",
                f"Set-Cookie: named=1; Domain={HOST}",
                f"Set-Cookie: parent=1; Domain={DOMAIN}",
                f"Set-Cookie: dotted=1; domain = .{DOMAIN.upper()} ; Path=/",
                "Set-Cookie: test=1; Domain=test",
                "Set-Cookie: __Host-envforge=stolen; Secure; Path=/",
                "Set-Cookie: __host-Envforge-state=x; Secure; Path=/",
                "X-Robots-Tag: all",
                'Clear-Site-Data: "cookies"',
                'Alt-Svc: h3="evil:443"',
                "X-EnvForge-Trust: me",
                "X-Accel-Redirect: /internal/file",
                "X-Sendfile: /etc/passwd",
                "Connection: X-Hop",
                "X-Hop: 1",
                "X-Kept: 1",
            )
            return True

        place.app.behave = cookies
        got = await place.get()
        assert got.every("set-cookie") == ["own=1; Path=/", f"named=1; Domain={HOST}"]
        assert got.every("x-robots-tag") == ["noindex"]
        assert got.get("x-kept") == "1"
        assert {name.lower() for name, _ in got.fields} == {
            "set-cookie",
            "x-robots-tag",
            "x-kept",
            "content-length",
        }

    play(scene)


SIBLING = f"https://{OTHER_HOST}"


@pytest.mark.parametrize(
    ("method", "fields", "status"),
    [
        ("GET", ("Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors"), 200),
        ("GET", ("Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"), 200),
        ("GET", ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"), 200),
        ("GET", ("Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"), 200),
        ("POST", ("Sec-Fetch-Site: same-origin", f"Origin: https://{HOST}"), 200),
        ("POST", (f"Origin: https://{HOST}",), 200),
        ("POST", (), 200),
        ("GET", ("Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"), 403),
        ("GET", ("Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: cors", f"Origin: {SIBLING}"), 403),
        ("GET", ("Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"), 403),
        ("GET", ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: script"), 403),
        ("POST", ("Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"), 403),
        ("POST", (f"Origin: {SIBLING}",), 403),
        ("POST", ("Origin: null",), 403),
        ("POST", (f"Origin: http://{HOST}",), 403),
        ("POST", (f"Origin: https://{HOST}:444",), 403),
        ("POST", ("Sec-Fetch-Site: same-origin", f"Origin: {SIBLING}"), 403),
        ("GET", ("Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"), 400),
    ],
)
def test_g4_other_hosts_may_only_navigate_here(
    play: Play, method: str, fields: tuple[str, ...], status: int
) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        got = await place.get(method=method, fields=fields, body=b"x" if method == "POST" else None)
        assert got.status == status
        assert len(place.app.seen) == (status == 200)

    play(scene)


@pytest.mark.parametrize("origin", [SIBLING, "null", f"https://{DOMAIN}", "https://evil.example"])
def test_g4_websockets_of_other_hosts_are_refused(play: Play, origin: str) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        client = await place.client()
        assert (await client.upgrade(session=SESSION, fields=(f"Origin: {origin}",))).status == 403
        assert place.app.seen == []

    play(scene)


def test_a_session_holds_at_its_own_host_alone(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        assert (await place.get()).status == 200
        # Cached or not, and whatever the cookie's neighbours are.
        assert (await place.get(host=OTHER_HOST)).status == 401
        assert (await place.get(host=f"x.{HOST}")).status == 401
        assert (await place.get(host="localhost")).status == 421
        assert (await place.get(host=DOMAIN)).status == 404
        assert (await place.get(host=f"evil{DOMAIN}")).status == 421
        assert (await place.get(host=f"{HOST.upper()}.:443")).status in {200, 400, 421}
        for tampered in (SESSION[:-1] + "t", SESSION + "s", SESSION[:-1], SESSION.upper(), ""):
            assert (await place.get(session=tampered)).status == 401
        assert len(place.app.seen) <= 2

    play(scene)


def test_g2_an_address_outside_the_configured_networks_is_never_dialled(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        got = await place.get()
        assert got.status == 502
        assert place.app.connections == 0
        assert (await place.get(fields=("Accept: text/html",))).text.count("The app is not running")

    play(scene, upstream_networks="10.0.0.0/8, 127.0.0.2/32")


@pytest.mark.parametrize(
    ("client", "known"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("unix:", ""),
    ],
)
def test_of_a_client_its_network_is_known(client: str, known: str) -> None:
    assert network(client) == known
