"""The console's pages: for anonymous, for strangers, for each role (I2, I5); what was typed stays; queries are counted."""

import re
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit.append import append
from audit.kinds import EventKind
from audit.models import Event
from audit.sentences import Piece, sentence
from envforge import tenancy
from envforge.actor import SYSTEM, Target
from orgs import operations
from orgs.browsers import describe
from orgs.models import ConsoleSession, Organization, Person
from orgs.roles import Role
from tests.product.visitors import anonymous, parameters, signed_in
from tests.product.world import World

ROLES = ("alice", "adam", "bob", "vera", "bill")
ADDRESSES = {"organization": "/o/{slug}/", "organization-settings": "/o/{slug}/settings"}


def without_ids(text: str) -> str:
    return re.sub(r"req_[0-9a-f]{32}", "", text)


@pytest.mark.parametrize(
    ("name", "method"),
    [("organization", "get"), ("organization-settings", "get"), ("organization-settings", "post")],
)
def test_i5_a_stranger_sees_and_causes_what_a_missing_organization_does(
    name: str, method: str, world: World
) -> None:
    assert world.mallet
    browser = signed_in(world.mallory)
    seen = []
    for slug in (world.acme.slug, "x" * len(world.acme.slug)):
        with CaptureQueriesContext(connection) as queries:
            answer = getattr(browser, method)(ADDRESSES[name].format(slug=slug), {"name": "Taken over"})
        shapes = [re.sub(r"'[^']*'", "'…'", query["sql"]) for query in queries]
        headers = {header: value for header, value in answer.headers.items() if header != "X-Request-ID"}
        seen.append((answer.status_code, without_ids(answer.text), headers, shapes))
    assert seen[0] == seen[1]
    assert seen[0][0] == 404


@pytest.mark.parametrize("name", ROLES)
def test_the_navigation_offers_what_one_may_look_at_and_nothing_else(name: str, world: World) -> None:
    browser = signed_in(getattr(world, name))
    offered = _offered(browser, world)
    everything = _offered(signed_in(world.alice), world)
    assert offered <= everything
    assert {address: browser.get(address).status_code for address in everything} == {
        address: 200 if address in offered else 403 for address in everything
    }


def _offered(browser: Client, world: World) -> set[str]:
    page = browser.get(f"/o/{world.acme.slug}/").text
    navigation = page[page.index('<nav aria-label="Console">') : page.index("</nav>")]
    return {address for address in re.findall(r'href="([^"]+)"', navigation) if world.acme.slug in address}


@pytest.mark.parametrize("name", ROLES)
def test_each_role_sees_the_overview_and_only_some_the_timeline(name: str, world: World) -> None:
    browser = signed_in(getattr(world, name))
    page = browser.get(f"/o/{world.acme.slug}/")
    assert page.status_code == 200
    assert f"{name}@" in page.text
    reads = name in {"alice", "adam"}
    assert ("created the organization" in page.text) is reads
    assert (
        "The timeline is not yours to read. This takes the role owner or admin." in page.text
    ) is not reads


@pytest.mark.parametrize("name", ROLES)
def test_each_role_renames_or_is_told_why_not(name: str, world: World) -> None:
    may = name in {"alice", "adam"}
    browser = signed_in(getattr(world, name))
    address = f"/o/{world.acme.slug}/settings"
    page = browser.get(address)
    assert page.status_code == 200
    assert ('<button class="first">Rename' in page.text) is may
    assert ("You can look, not change. This takes the role owner or admin" in page.text) is not may
    answer = browser.post(address, {"name": "Acme Works"})
    with tenancy.enter(world.acme.id):
        assert Organization.objects.get().name == ("Acme Works" if may else "Acme")
        assert Event.objects.filter(kind="access.denied").exists() is not may
    assert answer.status_code == (303 if may else 403)
    if may:
        assert answer["location"] == address
        assert "Acme Works" in browser.get(address).text


def test_the_start_page_leads_on(world: World) -> None:
    out = anonymous().get("/")
    assert out.text.count('class="button first"') == 1
    assert "Sign in" in out.text
    nora = world.person("Nora")
    browser = signed_in(nora)
    assert "You are in no organization yet" in browser.get("/").text
    created = browser.post("/organizations/new", {"name": " Nora's  Works ", "slug": f"nora-{world.tag}"})
    assert (created.status_code, created["location"]) == (303, f"/o/nora-{world.tag}/")
    assert "Nora&#x27;s Works" in browser.get(created["location"]).text
    assert browser.get("/")["location"] == f"/o/nora-{world.tag}/"
    operations.add_member(actor=SYSTEM, org_id=world.acme.id, person=nora, role=Role.VIEWER)
    both = browser.get("/").text
    assert "You are in 2 organizations" in both
    assert f'href="/o/{world.acme.slug}/"' in both
    assert f'href="/o/{world.acme.slug}/"' in browser.get(f"/o/nora-{world.tag}/").text, (
        "the switcher leads to the other one"
    )


@pytest.mark.parametrize(
    ("name", "slug", "status", "told"),
    [
        ("Nora & Co", "Nora Co", 422, ["single dashes between them"]),
        ("", "nora-co", 422, ["Use one line of 1 to 80 characters."]),
        ("", "--", 422, ["Use one line of 1 to 80 characters.", "single dashes between them"]),
        ("Nora & Co", "TAKEN", 409, ["is taken; choose another"]),
    ],
)
def test_what_was_typed_stays_with_what_is_wrong_beside_it(
    world: World, name: str, slug: str, status: int, told: list[str]
) -> None:
    browser = signed_in(world.person("Nora"))
    answer = browser.post(
        "/organizations/new", {"name": name, "slug": world.acme.slug if slug == "TAKEN" else slug}
    )
    assert answer.status_code == status
    assert all(words in answer.text for words in told)
    assert answer.text.count('aria-invalid="true"') == len(told)
    assert f'value="{name.replace("&", "&amp;")}"' in answer.text


def test_without_a_verified_address_one_is_told_what_to_do_first(world: World) -> None:
    una = operations.remember_person(
        issuer="https://issuer.test/",
        subject=f"una|{world.tag}",
        email="una@acme.test",
        email_verified=False,
        name="Una",
    )
    browser = signed_in(una)
    page = browser.get("/").text
    assert "Verify your e-mail address first" in page
    assert "Create organization" not in page
    answer = browser.post("/organizations/new", {"name": "Una", "slug": f"una-{world.tag}"})
    assert answer.status_code == 409
    assert "Verify your e-mail address first" in answer.text
    operations.add_member(actor=SYSTEM, org_id=world.acme.id, person=una, role=Role.VIEWER)
    assert "una@acme.test" not in signed_in(world.alice).get(f"/o/{world.acme.slug}/").text, (
        "N2: an unverified address counts for nothing"
    )


def test_names_are_text_and_never_markup(world: World) -> None:
    operations.rename_organization(actor=SYSTEM, org_id=world.acme.id, name="<script>alert(1)</script>")
    page = signed_in(world.alice).get(f"/o/{world.acme.slug}/").text
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_pages_have_no_inline_style_or_script(world: World) -> None:
    browser = signed_in(world.alice)
    for address in (
        "/",
        "/account",
        "/organizations/new",
        f"/o/{world.acme.slug}/",
        f"/o/{world.acme.slug}/settings",
    ):
        text = browser.get(address, follow=True).text
        assert not re.search(r"<script|<style|\sstyle=|\son[a-z]+=|https?://", text)
        assert text.count("<h1") == 1
        assert 'href="#main"' in text


def test_the_overview_shows_the_last_ten_and_how_far_the_chain_is(world: World) -> None:
    for number in range(12):
        operations.rename_organization(
            actor=world.alice.as_actor(), org_id=world.acme.id, name=f"Acme {number}"
        )
    page = signed_in(world.alice).get(f"/o/{world.acme.slug}/").text
    said = re.sub(r"<[^>]+>", "", page)
    assert re.findall(r"Alice renamed the organization to Acme (\d+)", said) == [
        str(number) for number in range(11, 1, -1)
    ]
    assert "15 events on their way into the sealed record" in said


def test_a3_looking_at_the_timeline_is_recorded_once_an_hour_and_person(world: World) -> None:
    for person in (world.alice, world.alice, world.adam, world.bob):
        signed_in(person).get(f"/o/{world.acme.slug}/")
    with tenancy.enter(world.acme.id):
        assert sorted(Event.objects.filter(kind="audit.read").values_list("actor_label", flat=True)) == [
            "Adam",
            "Alice",
        ]


def count(browser: Client, address: str) -> int:
    browser.get(address)  # whatever happens once has happened
    with CaptureQueriesContext(connection) as queries:
        assert browser.get(address).status_code == 200
    return len(queries)


def test_pages_take_the_same_queries_whatever_there_is_to_show(world: World) -> None:
    addresses = {
        "/account": 7,
        # One more while the last month holds fewer events than are shown, and older ones are looked for.
        f"/o/{world.acme.slug}/": 19,
        f"/o/{world.acme.slug}/settings": 12,
    }  # BEGIN and COMMIT included
    browser = signed_in(world.alice)
    assert all(count(browser, address) <= most for address, most in addresses.items())
    for number in range(5):
        world.member(f"Person{number}", Role.DEVELOPER)
        signed_in(world.alice)
    assert all(count(browser, address) <= most for address, most in addresses.items())


def test_my_sessions_are_listed_and_ended(world: World) -> None:
    here, there = signed_in(world.alice), signed_in(world.alice)
    page = here.get("/account").text
    assert "2 browsers are signed in as you" in page
    assert page.count("this browser") == 1
    other = ConsoleSession.objects.filter(person=world.alice).order_by("-created_at")[0]
    assert here.post(f"/account/sessions/{other.id}/end")["location"] == "/account"
    assert parameters(there.get("/account")["location"])["problem"] == "ended_elsewhere"
    assert "Only this browser is signed in as you" in here.get("/account").text
    more = [signed_in(world.alice) for _ in range(3)]
    here.post("/account/sessions/end-others")
    assert [browser.get("/account").status_code for browser in more] == [303] * 3
    assert here.get("/account").status_code == 200
    with tenancy.enter(tenancy.PLATFORM):
        ended = Event.objects.filter(kind="session.ended", target_id=str(world.alice.id))
        assert [event.facts["cause"] for event in ended] == ["ended_elsewhere"] * 4


def test_somebody_elses_session_is_as_one_that_does_not_exist(world: World) -> None:
    alices = signed_in(world.alice)
    session = ConsoleSession.objects.get(person=world.alice)
    mallorys = signed_in(world.mallory)
    answers = [mallorys.post(f"/account/sessions/{one}/end") for one in (session.id, uuid4())]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert without_ids(answers[0].text) == without_ids(answers[1].text)
    assert alices.get("/account").status_code == 200


def test_an_inactive_person_is_out_at_the_next_request(world: World) -> None:
    browser = signed_in(world.vera)
    assert browser.get(f"/o/{world.acme.slug}/").status_code == 200
    Person.objects.filter(id=world.vera.id).update(is_active=False)
    assert parameters(browser.get(f"/o/{world.acme.slug}/")["location"])["problem"] == "inactive"


def test_a_sentence_names_actor_and_target_and_survives_what_it_does_not_know(world: World) -> None:
    with tenancy.enter(world.acme.id):
        append(
            EventKind.ACCESS_DENIED,
            actor=world.bob.as_actor(),
            target=Target("x", "1", "<b>web</b>"),
            action="organization.rename",
            rule="role-above-own",
        )
        denied = Event.objects.get(kind="access.denied")
    said = sentence(denied)
    assert (
        "".join(piece.text for piece in said)
        == "Bob was refused organization.rename on <b>web</b>: role-above-own"
    )
    assert [piece.text for piece in said if piece.named] == ["Bob", "<b>web</b>"]
    denied.facts = {}
    assert (
        "".join(piece.text for piece in sentence(denied))
        == "Bob was refused (unknown) on <b>web</b>: (unknown)"
    )
    denied.kind = "something.newer"
    assert sentence(denied) == [Piece("something.newer")]


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        (
            "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0",
            "Edge on Windows",
        ),
        ("Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 Version/18.0 Safari/605.1.15", "Safari on macOS"),
        (
            "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36",
            "Chrome on Android",
        ),
        ("<script>alert(1)</script>", "Another browser"),
        ("", "Another browser"),
    ],
)
def test_a_browser_is_told_apart_in_words_of_ours(user_agent: str, words: str) -> None:
    assert describe(user_agent) == words
