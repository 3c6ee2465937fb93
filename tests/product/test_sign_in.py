"""Signing in through the real issuer, every way in which it must fail, and signing out (I1, N2)."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlencode, urlsplit

import httpx2
import jwt
import pytest
from django.conf import settings
from django.test import Client, override_settings
from django.utils import timezone

from audit.models import Event
from envforge import tenancy
from local_cloud.issuer.cast import CAST
from orgs import sessions
from orgs.console import flows
from orgs.console.door import COOKIE, safe_next
from orgs.console.sign_in import PROBLEMS
from orgs.identity import readable_name
from orgs.models import ConsoleSession, Person
from tests.product.crooked_issuer import UNPUBLISHED, Crooked, crooked_issuer
from tests.product.visitors import anonymous, at_issuer, choose, inside, parameters, sign_in, signed_in
from tests.product.world import World


def person_of(login: str) -> Person:
    return Person.objects.get(issuer=settings.AUTH0_ISSUER, subject=f"auth0|{login}")


def platform_events(kind: str, person: Person) -> list[Event]:
    with tenancy.enter(tenancy.PLATFORM):
        return list(Event.objects.filter(kind=kind, target_id=str(person.id)).order_by("at"))


def is_signed_in(browser: Client) -> bool:
    return browser.get("/account").status_code == 200


def refused(browser: Client, reason: str, answer: object) -> None:
    """The browser ends at a page that explains, at an address without code or state, and is not signed in."""
    assert answer.status_code == 303  # type: ignore[attr-defined]
    address = answer["location"]  # type: ignore[index]
    assert set(parameters(address)) <= {"problem", "next", "organization"}
    assert parameters(address)["problem"] == reason
    page = browser.get(address)
    title, words = PROBLEMS[reason]
    assert page.status_code == 200
    assert title in page.text
    assert words in page.text
    assert not is_signed_in(browser)


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
    session = ConsoleSession.objects.get(key_digest=sessions.digest(key))
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


NOWHERE = "http://localhost:1/"


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


@pytest.fixture
def crooked() -> Iterator[Crooked]:
    with crooked_issuer(settings.AUTH0_CLIENT_ID) as said, override_settings(AUTH0_ISSUER=said.url):
        yield said


def come_back(browser: Client, said: Crooked, *, honest_nonce: bool = True) -> object:
    asked = parameters(browser.get("/auth/start")["location"])
    if honest_nonce:
        said.nonce = asked["nonce"]
    return browser.get("/auth/callback", {"code": "code", "state": asked["state"]})


def test_the_crooked_issuer_can_be_honest(crooked: Crooked) -> None:
    browser = anonymous()
    assert come_back(browser, crooked)["location"] == "/"  # type: ignore[index]
    assert is_signed_in(browser)


def test_a_wrong_nonce_is_refused(crooked: Crooked) -> None:
    browser = anonymous()
    refused(browser, "token_invalid", come_back(browser, crooked, honest_nonce=False))


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": None},
        {"iss": "https://other.example/"},
        {"iss": None},
        {"aud": "another-client"},
        {"aud": None},
        {"aud": ["another-client", "third"]},
        {"azp": "another-client"},
        {"exp": 1_000_000_000},
        {"exp": None},
        {"iat": None},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 300},
    ],
    ids=str,
)
def test_a_token_that_does_not_hold_is_refused(crooked: Crooked, claims: dict[str, object]) -> None:
    crooked.claims = claims
    browser = anonymous()
    refused(browser, "token_invalid", come_back(browser, crooked))


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(UNPUBLISHED, "RS256"), ("s" * 64, "HS256"), (None, "none")],
    ids=["key", "hmac", "none"],
)
def test_a_token_that_is_not_signed_by_the_issuers_key_is_refused(
    crooked: Crooked, key: object, algorithm: str
) -> None:
    """Its metadata offers HS256 and none; we take neither."""
    crooked.key, crooked.algorithm = key, algorithm
    browser = anonymous()
    refused(browser, "token_invalid", come_back(browser, crooked))


def test_a_token_signed_with_our_own_client_secret_is_refused(crooked: Crooked) -> None:
    crooked.key, crooked.algorithm = settings.AUTH0_CLIENT_SECRET, "HS256"
    browser = anonymous()
    refused(browser, "token_invalid", come_back(browser, crooked))


def test_metadata_of_another_issuer_is_not_believed(crooked: Crooked) -> None:
    crooked.metadata = {"issuer": "https://other.example/"}
    browser = anonymous()
    refused(browser, "unavailable", browser.get("/auth/start"))


def test_a_token_endpoint_that_breaks_is_explained(crooked: Crooked) -> None:
    crooked.token_status = 500
    browser = anonymous()
    refused(browser, "unavailable", come_back(browser, crooked))


def test_another_organization_than_asked_for_is_refused(crooked: Crooked) -> None:
    crooked.claims = {"org_id": "org_mallet"}
    browser = anonymous()
    asked = parameters(browser.get("/auth/start", {"organization": "org_acme"})["location"])
    crooked.nonce = asked["nonce"]
    refused(
        browser,
        "organization_mismatch",
        browser.get("/auth/callback", {"code": "code", "state": asked["state"]}),
    )


def test_n2_mail_counts_only_if_it_is_truly_verified_and_people_are_their_subject(crooked: Crooked) -> None:
    for subject, verified in (("auth0|one", "true"), ("auth0|two", True)):
        crooked.claims = {"sub": subject, "email": "alice@acme.test", "email_verified": verified}
        come_back(anonymous(), crooked)
    people = Person.objects.filter(issuer=crooked.url).order_by("subject")
    assert [(person.subject, person.email_verified) for person in people] == [
        ("auth0|one", False),
        ("auth0|two", True),
    ]
    assert person_exists_elsewhere(crooked.url)


def person_exists_elsewhere(issuer: str) -> bool:
    """The same address at another issuer is somebody else."""
    sign_in_at_home = Person.objects.filter(email="alice@acme.test").exclude(issuer=issuer)
    return all(person.issuer != issuer for person in sign_in_at_home)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("  Eve \n of\tMallet ", "Eve of Mallet"),
        ("", "eve"),
        (None, "eve"),
        (7, "eve"),
        ("x" * 200, "x" * 120),
        ("AKIAIOSFODNN7EXAMPLE", "eve"),
    ],
)
def test_a_strange_name_becomes_a_readable_one(crooked: Crooked, name: object, shown: str) -> None:
    crooked.claims = {"name": name, "sub": f"auth0|strange-{shown[:9]}-{len(str(name))}"}
    assert come_back(anonymous(), crooked)["location"] == "/"  # type: ignore[index]
    assert Person.objects.get(issuer=crooked.url).name == shown


def test_a_name_is_found_or_made() -> None:
    assert readable_name(None, "\x00", "\u202e") == "Somebody without a name"


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/", "//evil.example/", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)", "///evil.example", "http:evil.example",
        "/\tevil", "/auth/start", "/sign-in?next=/", "evil", " /account", "/" + "a" * 400,
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


def test_signing_out_ends_both() -> None:
    browser = anonymous()
    started = browser.get("/auth/start")
    with at_issuer() as issuer:
        browser.get(inside(choose(issuer, started["location"], "vera")))
        key = browser.cookies[COOKIE].value
        assert browser.get("/auth/sign-out").status_code == 405, "a link or an image signs nobody out"
        gone = browser.post("/auth/sign-out")
        assert gone.status_code == 303
        assert gone["location"].startswith(settings.AUTH0_ISSUER.rstrip("/") + "/oidc/logout?")
        assert parameters(gone["location"]) == {
            "client_id": settings.AUTH0_CLIENT_ID,
            "post_logout_redirect_uri": settings.CONSOLE_URL + "/",
        }
        asked = issuer.get(gone["location"])
        form = asked.text.split('name="form" value="')[1].split('"')[0]
        done = issuer.post(f"{settings.AUTH0_ISSUER.rstrip('/')}/u/logout", data={"form": form})
        assert done.headers["location"] == settings.CONSOLE_URL + "/"
        again = anonymous().get("/auth/start")
        assert issuer.get(again["location"]).status_code == 200, "the issuer asks again who one is"
    assert not is_signed_in(browser)
    kept = anonymous()
    kept.cookies[COOKIE] = key
    assert not is_signed_in(kept), "a copy of the cookie is worth nothing"
    ended = platform_events("session.ended", person_of("vera"))[-1]
    assert ended.facts == {"surface": "console", "cause": "signed_out"}


def test_signing_out_needs_our_own_form() -> None:
    browser = anonymous(checks_csrf=True)
    sign_in(browser, "vera")
    assert browser.post("/auth/sign-out").status_code == 403
    assert is_signed_in(browser)


def test_signing_out_without_the_issuer_says_so(world: World) -> None:
    browser = signed_in(world.alice)
    with override_settings(AUTH0_ISSUER=NOWHERE):
        answer = browser.post("/auth/sign-out")
    refused(browser, "issuer_stays", answer)


@pytest.mark.parametrize(
    ("column", "age", "cause"),
    [("last_seen_at", ConsoleSession.IDLE_LIMIT, "idle"), ("created_at", ConsoleSession.LIFETIME, "expired")],
)
def test_a_session_ends_by_time(
    world: World, admin: object, database: str, column: str, age: timedelta, cause: str
) -> None:
    browser = signed_in(world.alice)
    assert is_signed_in(browser)
    move_back(admin, world.alice, column, age)
    assert parameters(browser.get("/account")["location"])["problem"] == cause
    sessions.end_overdue_sessions()
    sessions.end_overdue_sessions()
    ended = platform_events("session.ended", world.alice)
    assert [(event.actor_kind, event.facts["cause"]) for event in ended] == [("system", cause)]
    assert parameters(browser.get("/account")["location"])["problem"] == cause


def move_back(admin: object, person: Person, column: str, age: timedelta) -> None:
    admin.execute(
        f"UPDATE orgs_consolesession SET {column} = now() - %s WHERE person_id = %s", [age, person.id]
    )  # type: ignore[attr-defined]
    admin.commit()  # type: ignore[attr-defined]


def test_being_used_keeps_a_session_and_is_noted_coarsely(world: World, admin: object) -> None:
    browser = signed_in(world.alice)
    session = ConsoleSession.objects.get(person=world.alice)
    browser.get("/account")
    session.refresh_from_db()
    seen = session.last_seen_at
    assert seen == session.created_at
    move_back(admin, world.alice, "last_seen_at", ConsoleSession.SEEN_STEP)
    browser.get("/account")
    session.refresh_from_db()
    assert timezone.now() - session.last_seen_at < timedelta(minutes=1)


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
    for value in (given["code"], given["state"], key, jwt.utils.base64url_encode(b"{").decode() + "eyJ"):
        assert value not in ours


def test_a_sign_in_page_opened_when_signed_in_leads_on(world: World) -> None:
    browser = signed_in(world.alice)
    assert browser.get("/sign-in?" + urlencode({"next": "/account"}))["location"] == "/account"


def test_the_issuer_may_receive_the_sign_out_form_and_nobody_else(world: World) -> None:
    issuer = urlsplit(settings.AUTH0_ISSUER)
    policy = signed_in(world.alice).get("/account")["Content-Security-Policy"]
    assert f"form-action 'self' {issuer.scheme}://{issuer.netloc};" in policy + ";"
    assert policy.count("http") == 1
