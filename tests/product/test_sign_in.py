"""Signing in through the real issuer, and the ways in which it must fail (I1, N2)."""

import logging
import secrets
from urllib.parse import urlencode

import httpx2
import pytest
from django.conf import settings
from django.test import override_settings

from local_cloud.issuer.cast import CAST
from orgs.console import flows
from orgs.console.door import COOKIE, safe_next
from orgs.digests import digest
from orgs.identity import readable_name
from orgs.models import ConsoleSession, Person
from tests.product.visitors import (
    NOWHERE,
    anonymous,
    at_issuer,
    choose,
    inside,
    is_signed_in,
    parameters,
    person_of,
    platform_events,
    refused,
    sign_in,
    signed_in,
)
from tests.product.world import World


@pytest.mark.parametrize("player", CAST, ids=lambda player: player.login)
def test_each_of_the_cast_signs_in(player: object) -> None:
    login = player.login  # type: ignore[attr-defined]
    browser = anonymous(checks_csrf=True)
    answer = sign_in(browser, login)
    assert (answer.status_code, answer["location"]) == (303, "/")
    cookie = answer.cookies[COOKIE]
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"], cookie["path"], cookie["domain"]) == (
        True,
        True,
        "Lax",
        "/",
        "",
    )
    person = person_of(login)
    assert (person.name, person.email_verified) == (player.name, player.email_verified)  # type: ignore[attr-defined]
    page = browser.get("/account").text
    assert person.name in page
    assert "Firefox on Linux" in page
    started = platform_events("session.started", person)[-1]
    assert (started.actor_id, started.facts) == (str(person.id), {"surface": "console"})


def test_what_the_issuer_says_of_a_person_is_taken_over_at_the_next_sign_in() -> None:
    sign_in(anonymous(), "sam")
    known = person_of("sam")
    Person.objects.filter(id=known.id).update(name="Samuel", email_verified=False)
    sign_in(anonymous(), "sam")
    assert (person_of("sam").id, person_of("sam").name, person_of("sam").email_verified) == (
        known.id,
        "Sam",
        True,
    )


def test_the_key_is_kept_as_a_digest_alone() -> None:
    browser = anonymous()
    key = sign_in(browser, "bob").cookies[COOKIE].value
    session = ConsoleSession.objects.get(key_digest=digest(key))
    stored = [str(value) for value in ConsoleSession.objects.filter(id=session.id).values().get().values()]
    assert not any(key in value for value in stored)


def test_a_planted_key_never_becomes_a_session() -> None:
    """Session fixation: the key is always the server's own, and new."""
    browser = anonymous()
    browser.cookies[COOKIE] = "planted-by-somebody-else"
    key = sign_in(browser, "bob").cookies[COOKIE].value
    assert key != "planted-by-somebody-else"
    other = anonymous()
    other.cookies[COOKIE] = "planted-by-somebody-else"
    assert not is_signed_in(other)


def test_signing_in_again_ends_the_session_before() -> None:
    browser = anonymous()
    before = sign_in(browser, "vera").cookies[COOKIE].value
    after = sign_in(browser, "vera").cookies[COOKIE].value
    assert before != after
    old = anonymous()
    old.cookies[COOKIE] = before
    assert not is_signed_in(old)
    assert is_signed_in(browser)


def test_beginning_asks_for_code_state_nonce_and_s256_and_writes_nothing() -> None:
    count = ConsoleSession.objects.count()
    browser = anonymous()
    asked = parameters(browser.get("/auth/start")["location"])
    assert (asked["response_type"], asked["scope"], asked["code_challenge_method"]) == (
        "code",
        "openid profile email",
        "S256",
    )
    assert asked["redirect_uri"] == f"{settings.CONSOLE_URL}/auth/callback"
    assert min(len(asked[name]) for name in ("state", "nonce")) >= 20
    assert len(asked["code_challenge"]) == 43
    assert ConsoleSession.objects.count() == count
    again = parameters(browser.get("/auth/start")["location"])
    assert not {asked[name] for name in ("state", "nonce", "code_challenge")} & set(again.values())


def test_tabs_sign_in_side_by_side() -> None:
    browser = anonymous()
    starts = [browser.get("/auth/start", {"next": f"/account?tab={tab}"})["location"] for tab in range(2)]
    with at_issuer() as issuer:
        backs = [choose(issuer, start, "bob") for start in starts]
    assert [browser.get(inside(back))["location"] for back in backs] == ["/account?tab=0", "/account?tab=1"]


@pytest.mark.parametrize("tabs", [1, 3])
def test_g4_a_long_address_of_a_dev_host_outlasts_the_sign_in(tabs: int) -> None:
    """G4: what does not fit into the cookie beside it gives way, the oldest first."""
    browser = anonymous()
    path = "/find?q=" + secrets.token_urlsafe(1480)[:1970]
    wanted = "/dev/enter?" + urlencode({"host": "main--web.dev.localhost", "next": path})
    starts = [browser.get("/auth/start", {"next": wanted})["location"] for _ in range(tabs)]
    assert len(browser.cookies[flows.COOKIE].value) <= flows.MOST_COOKIE
    with at_issuer() as issuer:
        back = choose(issuer, starts[-1], "bob")
    assert browser.get(inside(back))["location"] == wanted


def test_g4_an_address_that_fits_no_cookie_leads_to_the_start() -> None:
    """G4: the sign-in comes about all the same."""
    browser = anonymous()
    start = browser.get("/auth/start", {"next": "/account?x=" + secrets.token_urlsafe(2970)[:3900]})
    assert len(browser.cookies[flows.COOKIE].value) <= flows.MOST_COOKIE
    with at_issuer() as issuer:
        back = choose(issuer, start["location"], "bob")
    assert browser.get(inside(back))["location"] == "/"


def test_cancelling_is_explained_and_can_be_tried_again() -> None:
    browser = anonymous()
    answer = sign_in(browser, "cancel", next="/account")
    refused(browser, "cancelled", answer)
    page = browser.get(answer["location"])
    assert (
        'href="/auth/start?next=/account"' in page.text or 'href="/auth/start?next=%2Faccount"' in page.text
    )


def test_a_callback_answers_once() -> None:
    browser = anonymous()
    started = browser.get("/auth/start")
    with at_issuer() as issuer:
        back = inside(choose(issuer, started["location"], "bob"))
    assert browser.get(back)["location"] == "/"
    assert is_signed_in(browser)
    assert browser.get(back)["location"] == "/", "the back button of somebody signed in leads on"
    stolen = anonymous()
    refused(stolen, "state_unknown", stolen.get(back))
    thief = anonymous()
    thief.cookies[flows.COOKIE] = started.cookies[flows.COOKIE].value
    refused(thief, "code_refused", thief.get(back))


@pytest.mark.parametrize("change", ["another", "", "none"])
def test_a_tampered_state_is_refused(change: str) -> None:
    browser = anonymous()
    started = browser.get("/auth/start")
    with at_issuer() as issuer:
        given = parameters(choose(issuer, started["location"], "bob"))
    given["state"] = change
    if change == "none":
        del given["state"]
    refused(browser, "state_unknown", browser.get("/auth/callback", given))


def test_another_browsers_sign_in_cannot_be_planted() -> None:
    """Login CSRF: Mallory's own callback, opened by Alice, signs nobody in."""
    mallorys = anonymous()
    started = mallorys.get("/auth/start")
    with at_issuer() as issuer:
        back = inside(choose(issuer, started["location"], "mallory"))
    alices = anonymous()
    alices.get("/auth/start")
    refused(alices, "state_unknown", alices.get(back))


def test_a_forged_cookie_and_an_old_one_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    browser = anonymous()
    started = browser.get("/auth/start")
    with at_issuer() as issuer:
        back = inside(choose(issuer, started["location"], "bob"))
    good = started.cookies[flows.COOKIE].value
    browser.cookies[flows.COOKIE] = good[:-4] + "AAAA"
    refused(browser, "state_unknown", browser.get(back))
    browser.cookies[flows.COOKIE] = good
    monkeypatch.setattr(flows, "LIFETIME_S", -1)
    refused(browser, "state_unknown", browser.get(back))


def test_a_code_of_somebody_elses_sign_in_is_refused() -> None:
    """PKCE: a code works only with the verifier of the browser that began."""
    victim, thief = anonymous(), anonymous()
    with at_issuer() as issuer:
        code = parameters(choose(issuer, victim.get("/auth/start")["location"], "alice"))["code"]
    state = parameters(thief.get("/auth/start")["location"])["state"]
    refused(thief, "code_refused", thief.get("/auth/callback", {"code": code, "state": state}))


def test_an_answer_of_another_issuer_is_refused() -> None:
    """RFC 9207."""
    browser = anonymous()
    state = parameters(browser.get("/auth/start")["location"])["state"]
    answer = browser.get("/auth/callback", {"code": "x", "state": state, "iss": "https://other.example/"})
    refused(browser, "token_invalid", answer)


def test_the_organization_is_passed_through_and_checked() -> None:
    browser = anonymous()
    assert (
        parameters(browser.get("/auth/start", {"organization": "org_acme"})["location"])["organization"]
        == "org_acme"
    )
    assert sign_in(browser, "alice", organization="org_acme")["location"] == "/"
    stranger = anonymous()
    refused(stranger, "cancelled", sign_in(stranger, "mallory", organization="org_acme"))


def test_rotating_the_issuers_keys_stops_nobody() -> None:
    for _ in range(3):  # the next key is published ahead: from the second on the key is one we have not seen
        assert sign_in(anonymous(), "bob")["location"] == "/"
        assert httpx2.post(f"{settings.AUTH0_ISSUER.rstrip('/')}/_local/rotate-key").status_code == 200
    assert sign_in(anonymous(), "bob")["location"] == "/"


def test_an_inactive_person_is_refused_and_it_is_on_record() -> None:
    browser = anonymous()
    sign_in(browser, "bill")
    person = person_of("bill")
    Person.objects.filter(id=person.id).update(is_active=False)
    try:
        assert parameters(browser.get("/account")["location"])["problem"] == "inactive", (
            "the session before stops at once"
        )
        newcomer = anonymous()
        refused(newcomer, "inactive", sign_in(newcomer, "bill"))
        assert platform_events("session.refused", person)[-1].facts == {"reason": "inactive"}
    finally:
        Person.objects.filter(id=person.id).update(is_active=True)


def test_an_issuer_that_is_down_is_explained() -> None:
    browser = anonymous()
    with override_settings(AUTH0_ISSUER=NOWHERE):
        refused(browser, "unavailable", browser.get("/auth/start", {"next": "/account"}))


def test_an_issuer_that_goes_down_on_the_way_is_explained() -> None:
    browser = anonymous()
    started = browser.get("/auth/start")
    with at_issuer() as issuer:
        back = inside(choose(issuer, started["location"], "bob"))
    with override_settings(AUTH0_ISSUER=NOWHERE):
        refused(browser, "unavailable", browser.get(back))


def test_a_secret_the_issuer_does_not_know_is_explained_and_not_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    browser = anonymous()
    with override_settings(AUTH0_CLIENT_SECRET="a-wrong-secret-canary"):
        answer = sign_in(browser, "bob")
        refused(browser, "unavailable", answer)
    assert "canary" not in caplog.text


def test_a_name_is_found_or_made() -> None:
    assert readable_name(None, "\x00", "\u202e") == "Somebody without a name"


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/", "//evil.example/", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)", "///evil.example", "http:evil.example",
        "/\tevil", "/auth/start", "/sign-in?next=/", "evil", " /account", "/" + "a" * 4000,
    ],
)  # fmt: skip
def test_only_an_address_inside_is_led_to(elsewhere: str) -> None:
    assert safe_next(elsewhere) == "/"
    browser = anonymous()
    assert sign_in(browser, "bob", next=elsewhere)["location"] == "/"
    assert browser.get("/sign-in", {"next": elsewhere})["location"] == "/"


def test_the_page_that_was_wanted_is_led_to() -> None:
    browser = anonymous()
    wanted = browser.get("/o/some-place/settings?tab=1")
    assert parameters(wanted["location"])["next"] == "/o/some-place/settings?tab=1"
    assert sign_in(browser, "bob", next="/account?x=1")["location"] == "/account?x=1"


def test_no_code_token_state_or_cookie_reaches_a_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    browser = anonymous()
    started = browser.get("/auth/start")
    with at_issuer() as issuer:
        back = inside(choose(issuer, started["location"], "bob"))
    given = parameters(back)
    key = browser.get(back).cookies[COOKIE].value
    stolen = anonymous()
    stolen.get(back)
    ours = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("httpx"))
    for value in (given["code"], given["state"], key, "eyJ"):  # the last is how every token begins
        assert value not in ours


def test_a_sign_in_page_opened_when_signed_in_leads_on(world: World) -> None:
    browser = signed_in(world.alice)
    assert browser.get("/sign-in?" + urlencode({"next": "/account"}))["location"] == "/account"
