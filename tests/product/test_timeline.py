"""The timeline's page: one sentence an event, filters in the address, for those who may read and for nobody else (A3, I5)."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.append import append
from audit.filters import Filter
from audit.kinds import EventKind
from audit.models import Event
from audit.selectors import page as events_page
from envforge import request_id, tenancy
from envforge.actor import SYSTEM
from envforge.cursors import write_cursor
from orgs import operations
from orgs.models import ConsoleSession
from orgs.roles import Role
from tests.product.chains import seal, sign
from tests.product.visitors import anonymous, signed_in
from tests.product.world import World


def fill(world: World, count: int) -> None:
    with tenancy.enter(world.acme.id):
        for number in range(count):
            append(EventKind.ORGANIZATION_RENAMED, actor=SYSTEM, target=world.acme, previous=f"Name {number}")


def events(world: World, **wanted: object) -> list[Event]:
    with tenancy.enter(world.acme.id):
        return events_page(Filter(**wanted), size=500).events  # type: ignore[arg-type]


def shown(text: str) -> list[str]:
    return re.findall(r'<li id="([0-9a-f-]{36})">', text)


def at(world: World, tail: str = "") -> str:
    return f"/o/{world.acme.slug}/timeline{tail}"


def test_each_event_is_a_sentence_with_its_time_and_its_facts(world: World) -> None:
    operations.rename_organization(actor=world.alice.as_actor(), org_id=world.acme.id, name="Acme Works")
    text = signed_in(world.alice).get(at(world)).text
    assert "<strong>Alice</strong> renamed the organization to <strong>Acme Works</strong>" in text
    assert "<dt>Previous</dt><dd>Acme</dd>" in text
    assert "Today" in text
    renamed = events(world, kind="organization.renamed")[0]
    assert renamed.at.strftime('title="%Y-%m-%dT%H:%M:%S.%fZ"') in text
    assert f'href="?actor={world.alice.id}"' in text


def test_ones_own_look_is_on_the_page_and_once_an_hour(world: World) -> None:
    browser = signed_in(world.alice)
    assert "read the timeline" in browser.get(at(world)).text
    browser.get(at(world))
    assert len(events(world, kind="audit.read")) == 1
    browser.get(at(world, "?kind=member.joined"))
    assert [event.facts["filters"] for event in events(world, kind="audit.read")] == [1, 0]


@pytest.mark.parametrize("part", ["kind", "actor", "target", "workspace", "request", "since", "until"])
def test_each_filter_holds(world: World, part: str) -> None:
    workspace, subject = uuid4(), world.acme.as_target()
    request_id.begin()
    with tenancy.enter(world.acme.id):
        one = append(
            EventKind.WORKSPACE_CREATED,
            actor=world.bob.as_actor(),
            target=type(subject)("workspace", str(workspace), "feature", workspace_id=workspace),
            branch="feature",
        )
    request_id.end()
    event = next(event for event in events(world) if event.id == one)
    value = {
        "kind": event.kind,
        "actor": event.actor_id,
        "target": event.target_id,
        "workspace": str(event.workspace_id),
        "request": event.request_id,
        "since": event.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "until": event.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }[part]
    answer = signed_in(world.alice).get(at(world), {part: value})
    assert answer.status_code == 200
    ids = shown(answer.text)
    if part == "until":
        assert ids
        assert str(one) not in ids
    else:
        assert str(one) in ids
        assert len(ids) < len(events(world)) or part == "since"


WRONG = {
    "kind": ["no.such", "member", "'; DROP TABLE audit_event"],
    "actor": ["x" * 201, "a\x00b"],
    "target": ["x" * 201, "a\nb"],
    "workspace": ["acme", "1"],
    "request": ["req_", "REQ_" + "0" * 32, "0" * 32],
    "since": ["yesterday", "2026-13-01", "2026-02-30T10:00", "0001-01-01T00:00+10:00", "99999-01-01"],
    "until": ["soon", "2026-01-01T25:00"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in WRONG for value in WRONG[name]])
def test_what_cannot_be_read_is_said_beside_its_field_and_the_rest_holds(
    world: World, name: str, value: str
) -> None:
    fill(world, 1)
    other = {"kind": "organization.renamed"} if name != "kind" else {"actor": "system"}
    answer = signed_in(world.alice).get(at(world), {name: value, **other})
    assert answer.status_code == 422
    assert f'aria-describedby="{name}-about"' in answer.text
    assert f'class="wrong" id="{name}-about"' in answer.text
    assert len(shown(answer.text)) >= 1
    if name != "kind":
        assert len(shown(answer.text)) == 1


def test_a_period_that_ends_before_it_begins_is_said_at_its_end(world: World) -> None:
    answer = signed_in(world.alice).get(at(world, "?since=2026-02-01&until=2026-01-01"))
    assert answer.status_code == 422
    assert 'id="until-about"' in answer.text


def test_pages_go_back_in_time_without_gap_or_repeat(world: World) -> None:
    fill(world, 120)
    browser = signed_in(world.alice)
    address, seen = at(world, "?kind=organization.renamed"), []
    for _ in range(10):
        text = browser.get(address).text
        seen += shown(text)
        older = re.search(r'href="([^"]+)" rel="next"', text)
        if not older:
            break
        address = older[1].replace("&amp;", "&")
    assert seen == [str(event.id) for event in events(world, kind="organization.renamed")]
    assert 'rel="first"' in text


def test_a_place_that_is_none_is_said_and_the_newest_are_shown(world: World) -> None:
    answer = signed_in(world.alice).get(at(world, "?before=garbage"))
    assert answer.status_code == 200
    assert "This is no place in the timeline" in answer.text
    assert shown(answer.text)


def test_names_are_text_and_never_markup(world: World) -> None:
    name = "<img src=x onerror=alert(1)>"
    operations.rename_organization(actor=world.alice.as_actor(), org_id=world.acme.id, name=name)
    text = signed_in(world.alice).get(at(world), {"actor": "<script>alert(1)</script>"}).text
    assert "<img" not in text
    assert "<script>alert" not in text


def test_the_page_says_how_far_all_is_sealed_and_signed(world: World) -> None:
    fill(world, 2)
    browser = signed_in(world.alice)
    assert "Nothing is sealed yet" in browser.get(at(world)).text
    seal()
    sign()
    assert re.search(r"Sealed through 5;\s+signed through 5, <time", browser.get(at(world)).text)


def test_nothing_found_says_what_to_do(world: World) -> None:
    assert "Take a filter away" in signed_in(world.alice).get(at(world, "?kind=root.started")).text


@pytest.mark.parametrize("tail", ["", f"/arrived?after={'A' * 32}"])
def test_i5_a_stranger_learns_nothing(world: World, tail: str) -> None:
    browser = signed_in(world.mallory)
    there = browser.get(at(world, tail))
    nowhere = browser.get(f"/o/no-such-{world.tag}/timeline{tail}")
    assert there.status_code == nowhere.status_code == 404
    assert strip_ids(there.text) == strip_ids(nowhere.text)


def strip_ids(text: str) -> str:
    return re.sub(r"req_[0-9a-f]{32}", "", text)


@pytest.mark.parametrize("who", ["bob", "vera", "bill"])
@pytest.mark.parametrize("tail", ["", f"/arrived?after={'A' * 32}"])
def test_members_without_the_role_are_refused_and_it_is_on_record(world: World, who: str, tail: str) -> None:
    answer = signed_in(getattr(world, who)).get(at(world, tail))
    assert answer.status_code == 403
    assert "owner" in answer.text
    assert events(world, kind="access.denied")[0].facts["action"] == "audit.read"


def test_nobody_gets_in_without_signing_in(world: World) -> None:
    assert anonymous().get(at(world)).status_code == 303
    assert anonymous().get(at(world, f"/arrived?after={'A' * 32}")).status_code == 401


def test_another_organizations_ids_and_places_show_nothing_of_it(world: World) -> None:
    operations.rename_organization(actor=world.mallory.as_actor(), org_id=world.mallet.id, name="Secret plan")
    with tenancy.enter(world.mallet.id):
        foreign = events_page(Filter()).events
    fill(world, 3)
    browser = signed_in(world.alice)
    place = write_cursor((foreign[0].at, foreign[0].id))
    for query in (
        {"actor": str(world.mallory.id)},
        {"target": str(world.mallet.id)},
        {"workspace": str(world.mallet.id)},
        {"before": place},
    ):
        text = browser.get(at(world), query).text
        assert "Secret plan" not in text
        assert "Mallory" not in text
        assert not {str(event.id) for event in foreign} & set(shown(text))


def test_the_page_costs_no_more_whatever_is_in_it(world: World) -> None:
    def queries(browser: Client) -> int:
        with CaptureQueriesContext(
            connection,
        ) as caught:
            assert browser.get(at(world, "?actor=system")).status_code == 200
        return len(caught)

    browser = signed_in(world.alice)
    browser.get(at(world, "?actor=system"))
    fill(world, 1)
    few = queries(browser)
    fill(world, 300)
    for name in ("Ann", "Ben", "Cem"):
        world.member(name, Role.VIEWER)
    # One less, once the latest weeks fill a page by themselves.
    assert few - 1 <= queries(browser) <= few
    assert few <= 20


class TestNews:
    """The page asks by itself what came since."""

    def tail(self, browser: Client, world: World, query: str = "") -> str:
        found = re.search(r'id="events" data-arrived="([^"]+)"', browser.get(at(world, query)).text)
        assert found
        return found[1].replace("&amp;", "&")

    def test_it_counts_what_came_since(self, world: World) -> None:
        browser = signed_in(world.alice)
        tail = self.tail(browser, world)
        assert browser.get(tail).json() == {"count": 0, "more": False}
        fill(world, 3)
        assert browser.get(tail).json() == {"count": 3, "more": False}
        fill(world, 120)
        assert browser.get(tail).json() == {"count": 100, "more": True}

    def test_it_keeps_the_filters(self, world: World) -> None:
        browser = signed_in(world.alice)
        tail = self.tail(browser, world, "?kind=member.joined")
        fill(world, 3)
        assert browser.get(tail).json()["count"] == 0

    def test_an_empty_page_hears_of_its_first_event(self, world: World) -> None:
        browser = signed_in(world.alice)
        tail = self.tail(browser, world, "?kind=organization.renamed")
        fill(world, 1)
        assert browser.get(tail).json()["count"] == 1

    def test_asking_is_no_use_of_the_session(self, world: World) -> None:
        browser = signed_in(world.alice)
        tail = self.tail(browser, world)
        earlier = timezone.now() - timedelta(minutes=90)
        ConsoleSession.objects.filter(person=world.alice).update(last_seen_at=earlier)
        assert browser.get(tail).status_code == 200
        assert ConsoleSession.objects.get(person=world.alice).last_seen_at == earlier
        browser.get(at(world))
        assert ConsoleSession.objects.get(person=world.alice).last_seen_at > earlier

    @pytest.mark.parametrize("query", ["", "?after=", "?after=garbage", f"?after={'A' * 32}&kind=no.such"])
    def test_what_cannot_be_read_is_refused(self, world: World, query: str) -> None:
        assert signed_in(world.alice).get(at(world, f"/arrived{query}")).status_code == 422
