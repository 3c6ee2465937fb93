"""Sessions end: by signing out, by time, and what is noted of them (I1)."""

from datetime import timedelta
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings
from django.test import override_settings
from django.utils import timezone
from psycopg import sql

from orgs import sessions
from orgs.console.door import COOKIE
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
    world: World, admin: psycopg.Connection, database: str, column: str, age: timedelta, cause: str
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


def move_back(admin: psycopg.Connection, person: Person, column: str, age: timedelta) -> None:
    statement = sql.SQL("UPDATE orgs_consolesession SET {} = now() - %s WHERE person_id = %s").format(
        sql.Identifier(column)
    )
    admin.execute(statement, [age, person.id])
    admin.commit()


def test_being_used_keeps_a_session_and_is_noted_coarsely(world: World, admin: psycopg.Connection) -> None:
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


def test_the_issuer_may_receive_the_sign_out_form_and_nobody_else(world: World) -> None:
    issuer = urlsplit(settings.AUTH0_ISSUER)
    policy = signed_in(world.alice).get("/account")["Content-Security-Policy"]
    assert f"form-action 'self' {issuer.scheme}://{issuer.netloc};" in policy + ";"
    assert policy.count("http") == 1
