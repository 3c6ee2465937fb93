"""From a share link, or a member's sign-in, to a session; and every way in which none comes of it (L3, L8, THREATS G4)."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from envforge_protocol.gateway.base import digest
from tests.gateway.client import Answered
from tests.gateway.conftest import SESSION, Place
from tests.gateway.double import DOMAIN, HOST, OTHER_HOST

Play = Callable[..., None]
PAGE = ("Accept: text/html",)
NAVIGATION = (
    "Sec-Fetch-Site: same-site",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Dest: document",
    "Accept: text/html",
)
FORM = "Content-Type: application/x-www-form-urlencoded"


def cookie(got: Answered, name: str) -> str:
    found = next(one for one in got.every("set-cookie") if one.startswith(f"{name}="))
    assert "Secure" in found
    assert "HttpOnly" in found
    assert "Path=/;" in found
    assert "Domain" not in found
    return found.split(";")[0].removeprefix(f"{name}=")


async def begin(place: Place, token: str) -> tuple[str, str, Answered]:
    """The way to the page that carries the code: state, code, and that page."""
    page = await place.get(f"/share/{token}", session=None, host=DOMAIN, fields=PAGE)
    assert page.status == 200
    assert f'value="{token}"' in page.text
    posted = await place.get(
        "/share",
        method="POST",
        session=None,
        host=DOMAIN,
        body=f"token={token}".encode(),
        fields=(FORM, *PAGE, "Origin: null"),
    )
    assert (posted.status, posted.get("location")) == (303, f"https://{HOST}/.envforge/open")
    share = cookie(posted, "__Host-envforge-share")
    opened = await place.get("/.envforge/open", session=None, fields=NAVIGATION)
    state = cookie(opened, "__Host-envforge-state")
    location = opened.get("location")
    assert location == f"https://{DOMAIN}/share/continue?state={digest(state)}"
    carried = await place.get(
        location.removeprefix(f"https://{DOMAIN}"),
        session=None,
        host=DOMAIN,
        fields=(f"Cookie: __Host-envforge-share={share}", *NAVIGATION),
    )
    code = re.search(r'name="code" value="([^"]+)"', carried.text)
    return state, code[1] if code else "", carried


async def redeem(
    place: Place,
    code: str,
    state: str | None,
    *,
    host: str = HOST,
    more: str = "",
    origin: str = f"https://{DOMAIN}",
) -> Answered:
    held = (f"Cookie: __Host-envforge-state={state}",) if state else ()
    return await place.get(
        "/.envforge/redeem",
        method="POST",
        session=None,
        host=host,
        body=f"code={code}{more}".encode(),
        fields=(FORM, *PAGE, f"Origin: {origin}", *held),
    )


def awake(place: Place) -> None:
    runtime = {
        "state": "awake",
        "epoch": 1,
        "ingress": [{"service": "web", "address": "127.0.0.1", "port": place.app.port}],
    }
    place.control.next_session = {"runtime": runtime}


def test_a_link_becomes_a_session_at_its_host(play: Play) -> None:
    async def scene(place: Place) -> None:
        awake(place)
        state, code, page = await begin(place, place.control.link())
        assert page.status == 200
        assert f"form-action https://{HOST};" in (page.get("content-security-policy") or "")
        got = await redeem(place, code, state)
        assert (got.status, got.get("location")) == (303, "/")
        assert got.get("clear-site-data") == '"cache", "storage"'
        session = cookie(got, "__Host-envforge")
        assert len(session) == 43
        assert (await place.get(session=session)).text == "hello"
        # The control plane was never shown the session's value.
        asked = place.control.asked_for("redeem")[0]
        assert asked.session == digest(session)
        assert session not in repr(place.control.asked)

    play(scene)


def test_looking_at_a_share_page_uses_nothing(play: Play) -> None:
    async def scene(place: Place) -> None:
        token = place.control.link()
        got = await place.get(f"/share/{token}", session=None, host=DOMAIN, fields=PAGE)
        assert got.get("referrer-policy") == "no-referrer"
        assert got.get("cache-control") == "no-store"
        assert got.get("x-robots-tag") == "noindex"
        assert (await place.get(f"/share/{token}", session=None, host=DOMAIN, method="HEAD")).status == 200
        assert place.control.asked == []
        assert "https://" not in got.text

    play(scene)


def test_a_link_that_does_not_hold_asks_nobody(play: Play) -> None:
    async def scene(place: Place) -> None:
        other = Ed25519PrivateKey.generate()
        good = place.control.link()
        bad = {
            place.control.link(key=other): 404,
            place.control.link(lasts_s=-1): 410,
            place.control.link(aud="dev.other"): 404,
            place.control.link(host="evil.example"): 404,
            place.control.link(host=DOMAIN): 404,
            good[:-2] + ("AA" if good[-2:] != "AA" else "BB"): 404,
            good + "x": 404,
            "x": 404,
            "": 404,
        }
        for token, status in bad.items():
            assert (
                await place.get(f"/share/{token}", session=None, host=DOMAIN, fields=PAGE)
            ).status == status
            body = f"token={quote(token)}".encode()
            got = await place.get(
                "/share", method="POST", session=None, host=DOMAIN, body=body, fields=(FORM, *PAGE)
            )
            assert got.status == status
        assert place.control.asked == []

    play(scene)


def test_a_rotated_key_opens_no_more_links(play: Play) -> None:
    async def scene(place: Place) -> None:
        token = place.control.link()
        place.control.rotate_keys()
        await place.until(lambda: place.gateway.bare._keys["one"] == place.control.key.public_key())
        assert (await place.get(f"/share/{token}", session=None, host=DOMAIN)).status == 404
        assert (await place.get(f"/share/{place.control.link()}", session=None, host=DOMAIN)).status == 200

    play(scene)


@pytest.mark.parametrize("word", ["revoked", "rotated", "tailscale_only", "suspended", "something_new"])
def test_a_link_that_was_withdrawn_gives_no_code(play: Play, word: str) -> None:
    async def scene(place: Place) -> None:
        place.control.refuse_open = word
        _, code, page = await begin(place, place.control.link())
        assert code == ""
        assert page.status in {403, 410}
        assert page.get("clear-site-data")

    play(scene)


def test_g4_a_code_is_good_once_at_its_host_in_its_browser(play: Play) -> None:
    async def scene(place: Place) -> None:
        awake(place)
        for spoiled in ("no state", "another state", "another host", "get", "another site"):
            state, code, _ = await begin(place, place.control.link())
            if spoiled == "no state":
                got = await redeem(place, code, None)
            elif spoiled == "another state":
                got = await redeem(place, code, "t" * 43)
            elif spoiled == "another host":
                got = await redeem(place, code, state, host=OTHER_HOST)
            elif spoiled == "get":
                got = await place.get(
                    f"/.envforge/redeem?code={code}",
                    session=None,
                    fields=(*NAVIGATION, f"Cookie: __Host-envforge-state={state}"),
                )
            else:
                got = await redeem(place, code, state, origin=f"https://{OTHER_HOST}")
            assert got.status in {400, 403, 404}, spoiled
            assert not [
                one
                for one in got.every("set-cookie")
                if one.startswith("__Host-envforge=") and "Max-Age=0" not in one
            ]
        state, code, _ = await begin(place, place.control.link())
        assert (await redeem(place, code, state)).status == 303
        assert (await redeem(place, code, state)).status == 400

    play(scene)


def test_g4_a_flow_begun_elsewhere_leads_nowhere(play: Play) -> None:
    async def scene(place: Place) -> None:
        for path in ("/.envforge/open", "/.envforge/sign-in"):
            for fields in (
                ("Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"),
                ("Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"),
                ("Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: same-origin", "Service-Worker: script"),
            ):
                got = await place.get(path, session=None, fields=fields)
                assert (got.status, got.every("set-cookie")) == (403, [])
        got = await place.get("/share/continue?state=zz", session=None, host=DOMAIN, fields=NAVIGATION)
        assert got.status == 400
        got = await place.get(
            f"/share/continue?state={'a' * 64}", session=None, host=DOMAIN, fields=NAVIGATION
        )
        assert got.status == 404
        token = place.control.link()
        got = await place.get(
            "/share",
            method="POST",
            session=None,
            host=DOMAIN,
            body=f"token={token}".encode(),
            fields=(FORM, "Sec-Fetch-Site: cross-site", "Origin: https://evil.example"),
        )
        assert got.status == 403

    play(scene)


def test_members_sign_in_at_the_console_and_come_back(play: Play) -> None:
    async def scene(place: Place) -> None:
        awake(place)
        got = await place.get("/deep?x=1", session=None, fields=PAGE)
        assert got.status == 401
        assert "/.envforge/sign-in?next=%2Fdeep%3Fx%3D1" in got.text
        led = await place.get("/.envforge/sign-in?next=%2Fdeep%3Fx%3D1", session=None, fields=NAVIGATION)
        parts = urlsplit(led.get("location") or "")
        asked = parse_qs(parts.query)
        state = cookie(led, "__Host-envforge-state")
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == "https://console.test/dev/enter"
        assert asked == {"host": [HOST], "state": [digest(state)], "next": ["/deep?x=1"]}
        place.control.codes["c" * 43] = (HOST, digest(state), "", None)
        got = await redeem(
            place, "c" * 43, state, more="&next=%2Fdeep%3Fx%3D1", origin="https://console.test"
        )
        assert (got.status, got.get("location")) == (303, "/deep?x=1")
        assert (await place.get("/deep?x=1", session=cookie(got, "__Host-envforge"))).status == 200

    play(scene)


@pytest.mark.parametrize(
    "following",
    ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:x", "/a b", "/a\r\nX: y", ""],
)
def test_nobody_is_led_away_after_signing_in(play: Play, following: str) -> None:
    async def scene(place: Place) -> None:
        led = await place.get(
            f"/.envforge/sign-in?next={quote(following, safe='')}", session=None, fields=NAVIGATION
        )
        assert parse_qs(urlsplit(led.get("location") or "").query)["next"] == ["/"]
        state = cookie(led, "__Host-envforge-state")
        place.control.codes["c" * 43] = (HOST, digest(state), "", None)
        got = await redeem(place, "c" * 43, state, more=f"&next={quote(following, safe='')}")
        assert got.get("location") == "/"

    play(scene)


def test_leaving_ends_the_session(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.awake()
        got = await place.get("/.envforge/leave", method="POST", fields=(f"Origin: https://{OTHER_HOST}",))
        assert got.status == 403
        got = await place.get("/.envforge/leave", method="POST", fields=(f"Origin: https://{HOST}",))
        assert got.status == 204
        assert got.get("clear-site-data")
        assert place.control.asked_for("end")[0].session == digest(SESSION)

    play(scene)


def test_a_session_lasts_no_longer_than_it_should(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.control.next_session = {"expires_at": datetime.now(UTC) + timedelta(seconds=90)}
        state, code, _ = await begin(place, place.control.link())
        got = await redeem(place, code, state)
        held = next(one for one in got.every("set-cookie") if one.startswith("__Host-envforge="))
        assert 85 <= int(held.rpartition("Max-Age=")[2]) <= 90

    play(scene)


def test_when_nobody_can_say_nothing_is_opened(play: Play) -> None:
    async def scene(place: Place) -> None:
        place.control.down |= {"open", "redeem", "resolve"}
        _, code, page = await begin(place, place.control.link())
        assert (page.status, code) == (503, "")
        assert (await redeem(place, "c" * 43, "t" * 43)).status == 503
        assert (await place.get()).status == 503

    play(scene)


def test_no_log_line_holds_a_link_or_a_session(play: Play, capfd: pytest.CaptureFixture[str]) -> None:
    tokens: list[str] = []

    async def scene(place: Place) -> None:
        awake(place)
        tokens.append(place.control.link())
        state, code, _ = await begin(place, tokens[0])
        got = await redeem(place, code, state)
        tokens.extend([state, code, cookie(got, "__Host-envforge"), place.control.token])
        assert tokens[0] not in await place.metrics()

    play(scene)
    said = "".join(capfd.readouterr())
    assert "listening" in said
    assert not [one for one in tokens if one in said]


def test_what_a_page_asks_by_itself_does_not_take_the_reason_away(play: Play) -> None:
    """A page's stream opens again after its link went; its person reloads, and must be told why, not that a link is needed."""

    async def scene(place: Place) -> None:
        place.control.refuse(SESSION, "revoked")
        background = await place.get("/events", fields=("Accept: text/event-stream",))
        assert (background.status, background.every("set-cookie")) == (410, [])
        assert background.get("clear-site-data") == '"cache", "storage"'
        page = await place.get("/", fields=("Accept: text/html",))
        assert (page.status, "withdrawn" in page.text) == (410, True)
        (ended,) = page.every("set-cookie")
        assert ended.startswith("__Host-envforge=;")
        assert "Max-Age=0" in ended

    play(scene)
