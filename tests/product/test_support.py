"""Support's host: who comes in, and what it can and cannot do (N3)."""

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from audit.models import Event
from envforge import tenancy
from envforge.actor import SYSTEM
from local_cloud.issuer.cast import by_login
from orgs import staff, staff_rule
from orgs.digests import digest
from orgs.models import ConsoleSession, Person, StaffGrant, SupportVisit
from tests.product.visitors import anonymous, at_issuer, choose, parameters, sign_in, signed_in
from tests.product.visitors_of_support import (
    ADMIN_COOKIE,
    READ_PAGES,
    enter,
    inside_pages,
    staff_browser,
    stranger_to_support,
    support_browser,
)
from tests.product.world import World


def platform_events(kind: str, target: str) -> list[Event]:
    with tenancy.enter(tenancy.PLATFORM):
        return list(Event.objects.filter(kind=kind, target_id=target).order_by("at"))


def expire(admin: psycopg.Connection, person: Person) -> None:
    admin.execute("UPDATE orgs_staffgrant SET expires_at = now() WHERE person_id = %s", [person.id])
    admin.commit()


def sam(world: World) -> Person:
    return world.person("Sam")


@pytest.mark.parametrize("page", READ_PAGES)
def test_n3_who_is_not_signed_in_is_sent_to_sign_in(page: str) -> None:
    answer = stranger_to_support().get(page)
    assert answer.status_code == 303
    assert answer["location"].startswith("/sign-in?")
    assert parameters(answer["location"])["next"] == page or page == "/"


@pytest.mark.parametrize("page", READ_PAGES)
def test_n3_a_person_without_a_grant_is_told_the_rule(world: World, page: str) -> None:
    answer = support_browser(world.bob).get(page)
    assert answer.status_code == 403
    assert "staff-grant" in answer.text
    assert "Sign out" in answer.text


def test_n3_a_refusal_stands_in_the_platforms_chain_and_programs_read_it(world: World) -> None:
    answer = support_browser(world.bob).get("/", headers={"accept": "application/json"})
    assert (answer.status_code, answer.json()["rule"]) == (403, "staff-grant")
    with tenancy.enter(tenancy.PLATFORM):
        denied = Event.objects.get(kind="access.denied", actor_id=str(world.bob.id))
    assert denied.facts == {"action": "support.work", "rule": "staff-grant"}


def test_n3_an_owner_is_not_staff(world: World) -> None:
    browser = support_browser(world.alice)
    answer = browser.post("/enter", {"organization": world.acme.slug, "reason": "curious", "ticket": "T-1"})
    assert answer.status_code == 403
    with tenancy.enter(world.acme.id):
        assert not SupportVisit.objects.exists()


def test_n3_an_expired_grant_opens_nothing(world: World, admin: psycopg.Connection) -> None:
    browser = staff_browser(sam(world))
    enter(browser, world.acme)
    pages = (*READ_PAGES, *inside_pages(world.acme))
    assert {browser.get(page).status_code for page in pages} == {200}
    expire(admin, sam(world))
    assert {browser.get(page).status_code for page in pages} == {403}


def test_n3_a_grant_that_is_revoked_closes_the_door_and_the_visit_at_once(world: World) -> None:
    person = sam(world)
    browser = staff_browser(person)
    enter(browser, world.acme)
    assert browser.get(f"/o/{world.acme.id}/").status_code == 200
    assert staff.revoke_staff(actor=SYSTEM, person=person)
    for page in (*READ_PAGES, *inside_pages(world.acme)):
        assert browser.get(page).status_code == 403
    with tenancy.enter(world.acme.id):
        assert SupportVisit.objects.get().left_at is not None
        ended = Event.objects.get(kind="support.ended")
    assert (ended.target_label, ended.facts) == ("Sam", {"cause": "staff_grant_revoked"})
    assert len(platform_events("staff.revoked", str(person.id))) == 1
    staff.grant_staff(actor=SYSTEM, person=person, days=1)
    assert browser.get(f"/o/{world.acme.id}/").status_code == 404  # a new grant revives no visit


def test_the_sweep_records_a_grants_end_once(world: World, admin: psycopg.Connection) -> None:
    person = sam(world)
    staff.grant_staff(actor=SYSTEM, person=person, days=1)
    expire(admin, person)
    assert staff.end_overdue_grants() >= 1
    assert staff.end_overdue_grants() == 0
    assert len(platform_events("staff.expired", str(person.id))) == 1
    assert StaffGrant.objects.get(person=person).cause == "expired"


def test_granting_again_replaces_the_grant(world: World) -> None:
    person = sam(world)
    for days in (1, 2):
        staff.grant_staff(actor=SYSTEM, person=person, days=days)
    assert [grant.cause for grant in StaffGrant.objects.filter(person=person).order_by("granted_at")] == [
        "replaced",
        "",
    ]
    assert len(platform_events("staff.granted", str(person.id))) == 2


def test_a_command_makes_staff_of_whoever_has_signed_in() -> None:
    player = by_login("sam")
    assert player is not None
    sign_in(anonymous(), "sam")
    call_command("grant_staff", player.email, days=3)
    person = Person.objects.get(issuer=settings.AUTH0_ISSUER, subject=player.sub)
    assert staff_rule.live_grant(actor=person.as_actor())
    call_command("revoke_staff", player.email)
    assert not staff_rule.live_grant(actor=person.as_actor())
    for command, words in (("grant_staff", "has signed in yet"), ("revoke_staff", "holds a staff grant")):
        with pytest.raises(CommandError, match=words):
            call_command(command, "nobody@envforge.test")
    with pytest.raises(CommandError, match="from 1 to"):
        call_command("grant_staff", player.email, days=0)


def test_n3_the_one_hosts_cookie_is_nothing_at_the_other(world: World) -> None:
    person = sam(world)
    at_console, at_support = signed_in(person), staff_browser(person)
    console_key = at_console.cookies["__Host-envforge-console"].value
    support_key = at_support.cookies[ADMIN_COOKIE].value
    for browser, page in ((stranger_to_support(), "/"), (anonymous(), "/account")):
        for key in (console_key, support_key):
            for cookie in (ADMIN_COOKIE, "__Host-envforge-console"):
                if browser.get(page).status_code == 200:
                    raise AssertionError("signed in without a cookie")
                own = (page == "/") == (key == support_key) and (page == "/") == (cookie == ADMIN_COOKIE)
                browser.cookies[cookie] = key
                assert (browser.get(page).status_code == 200) is own, (page, cookie)
                browser.cookies.clear()


def test_n3_the_addresses_of_the_one_host_do_not_exist_at_the_other(world: World) -> None:
    console, support = signed_in(sam(world)), staff_browser(sam(world))
    for page in ("/enter", "/lists/organizations/", "/lists/visits/", "/lists/staff/", "/jsi18n/"):
        assert console.get(page).status_code == 404
    for page in ("/account", "/organizations/new", f"/o/{world.acme.slug}/", "/health/ready", "/metrics"):
        assert support.get(page).status_code == 404


def test_signing_in_and_out_at_supports_own_host() -> None:
    browser = stranger_to_support()
    started = browser.get("/auth/start", {"next": "/lists/visits/"})
    assert parameters(started["location"])["redirect_uri"] == f"{settings.ADMIN_URL}/auth/callback"
    with at_issuer() as issuer:
        back = choose(issuer, started["location"], "sam")
        assert back.startswith(settings.ADMIN_URL)
        answer = browser.get(back.removeprefix(settings.ADMIN_URL))
        assert (answer.status_code, answer["location"]) == (303, "/lists/visits/")
        cookie = answer.cookies[ADMIN_COOKIE]
        assert (cookie["secure"], cookie["httponly"], cookie["path"], cookie["domain"]) == (
            True,
            True,
            "/",
            "",
        )
        row = ConsoleSession.objects.get(key_digest=digest(cookie.value))
        assert row.surface == "admin"
        started_events = platform_events("session.started", str(row.person_id))
        assert started_events[-1].facts == {"surface": "admin"}
        out = browser.post("/auth/sign-out")
        assert parameters(out["location"])["post_logout_redirect_uri"] == f"{settings.ADMIN_URL}/"
        form = issuer.get(out["location"]).text.split('name="form" value="')[1].split('"')[0]
        done = issuer.post(f"{settings.AUTH0_ISSUER.rstrip('/')}/u/logout", data={"form": form})
        assert done.headers["location"] == f"{settings.ADMIN_URL}/"
    assert browser.get("/").status_code == 303


def test_a_sign_in_that_began_at_the_one_host_cannot_end_at_the_other() -> None:
    console, support = anonymous(), stranger_to_support()
    started = console.get("/auth/start")
    with at_issuer() as issuer:
        back = choose(issuer, started["location"], "sam")
    answer = support.get(back.removeprefix(settings.CONSOLE_URL))
    assert parameters(answer["location"])["problem"] == "state_unknown"


def test_ones_sessions_list_names_those_at_supports_host(world: World) -> None:
    person = sam(world)
    support, console = staff_browser(person), signed_in(person)
    assert console.post("/account/sessions/end-others").status_code == 303
    assert support.get("/").status_code == 303


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
def test_n3_support_only_reads(world: World, method: str) -> None:
    browser = staff_browser(sam(world))
    enter(browser, world.acme)
    for page in (*READ_PAGES, *inside_pages(world.acme)):
        if (method, page) == ("post", "/enter"):
            continue
        assert getattr(browser, method)(page).status_code == 405, page


@pytest.mark.parametrize("page", ["/lists/organizations/add/", "/lists/staff/add/", "/login/", "/logout/", "/password_change/", "/search/", "/autocomplete/", "/r/1/1/"])  # fmt: skip
def test_n3_what_djangos_admin_could_do_besides_is_not_there(world: World, page: str) -> None:
    browser = staff_browser(sam(world))
    assert browser.get(page).status_code == 404
    assert browser.post(page).status_code == 404


def test_forms_need_their_token(world: World) -> None:
    browser = staff_browser(sam(world), checks_csrf=True)
    given = {"organization": world.acme.slug, "reason": "help", "ticket": "T-1"}
    assert browser.post("/enter", given).status_code == 403
    with tenancy.enter(world.acme.id):
        assert not SupportVisit.objects.exists()


def test_scripts_may_evaluate_at_supports_host_alone(world: World) -> None:
    support = staff_browser(sam(world))
    policy = support.get("/")["Content-Security-Policy"]
    assert "'unsafe-eval'" in policy
    assert "'unsafe-inline'" not in policy
    for answer in (signed_in(sam(world)).get("/account"), stranger_to_support().get("/sign-in")):
        assert "unsafe" not in answer["Content-Security-Policy"]


def test_n3_postgresql_gives_support_no_name_and_no_digest(admin: psycopg.Connection) -> None:
    forbidden = {
        "orgs_organization": ("name", "slug"),
        "orgs_person": ("name", "email", "id"),
        "orgs_consolesession": ("key_digest", "id"),
        "orgs_rolegrant": ("role",),
        "orgs_membership": ("person_id",),
        "orgs_supportvisit": ("reason", "ticket"),
        "audit_event": ("actor_label", "facts"),
    }
    for table, columns in forbidden.items():
        for column in columns:
            row = admin.execute(
                "SELECT has_column_privilege('envforge_support', %s, %s, 'SELECT')", [table, column]
            ).fetchone()
            assert row == (False,), (table, column)
    writes = admin.execute(
        "SELECT count(*) FROM pg_class c, unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS p"
        " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND has_table_privilege('envforge_support', c.oid, p)"
    ).fetchone()
    assert writes == (0,)
