"""Support in an organization: for a reason, for a time, to look; and blind outside of it (N3)."""

from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from django.test import Client, override_settings

from audit.models import Event
from envforge import tenancy
from envforge.actor import SYSTEM
from envforge.errors import NotAllowed, NotVisible
from orgs import operations, policy, staff, support, visits
from orgs.models import Organization, Person, SupportVisit
from orgs.policy import Action
from orgs.policy.table import SUPPORT_MAY
from orgs.roles import Role
from tests.product.visitors import signed_in
from tests.product.visitors_of_support import READ_PAGES, enter, inside_pages, staff_browser
from tests.product.world import World


@pytest.fixture
def sam(world: World) -> Person:
    return world.person("Sam")


@pytest.fixture
def browser(sam: Person) -> Client:
    return staff_browser(sam)


def events(organization: Organization, *kinds: str) -> list[Event]:
    with tenancy.enter(organization.id):
        return list(Event.objects.filter(kind__in=kinds).order_by("at", "id"))


def end_visits(admin: psycopg.Connection, person: Person) -> None:
    admin.execute("UPDATE orgs_supportvisit SET until = now() WHERE person_id = %s", [person.id])
    admin.commit()


def test_n3_nothing_of_an_organization_is_there_before_a_visit(browser: Client, world: World) -> None:
    for organization in (world.acme.id, uuid4()):
        for page in ("", "members", "timeline"):
            assert browser.get(f"/o/{organization}/{page}").status_code == 404
        assert browser.post(f"/o/{organization}/leave").status_code == 404
    assert not events(world.acme, "support.entered", "support.viewed")


@pytest.mark.parametrize("by", ["id", "slug"])
def test_n3_a_visit_and_every_look_stand_in_the_organizations_timeline(
    browser: Client, world: World, sam: Person, by: str
) -> None:
    given = {
        "organization": f" {getattr(world.acme, by)} ",
        "reason": "The runtime  does not wake",
        "ticket": "T-1",
    }
    assert browser.post("/enter", given).status_code == 303
    for _ in range(2):
        for page in inside_pages(world.acme):
            assert browser.get(page).status_code == 200
    assert browser.post(f"/o/{world.acme.id}/leave").status_code == 303
    told = events(world.acme, "support.entered", "support.viewed", "support.left")
    assert [(event.kind, event.facts.get("page")) for event in told] == [
        ("support.entered", None),
        ("support.viewed", "overview"),
        ("support.viewed", "members"),
        ("support.viewed", "timeline"),
        ("support.left", None),
    ]
    assert {(event.actor_kind, event.actor_id, event.actor_label) for event in told} == {
        ("support", str(sam.id), "Sam")
    }
    with tenancy.enter(world.acme.id):
        visit = SupportVisit.objects.get()
    assert told[0].facts == {
        "reason": "The runtime does not wake",
        "ticket": "T-1",
        "until": visit.until.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
    assert visit.until - visit.entered_at == timedelta(minutes=30)
    assert "of support entered the organization" in signed_in(world.alice).get(f"/o/{world.acme.slug}/").text


def test_what_is_seen_inside(browser: Client, world: World) -> None:
    signed_in(world.bob)
    enter(browser, world.acme)
    overview, members, timeline = (browser.get(page).text for page in inside_pages(world.acme))
    assert "Acme has 2 members and 1 live session." in overview
    assert all(word in members for word in ("Alice", "owner", "Bob", "developer"))
    assert "created the organization" in timeline
    assert "The runtime does not wake" in timeline


def test_people_are_found_by_their_exact_address(browser: Client, world: World) -> None:
    found = world.bob
    enter(browser, world.acme)
    page = f"/o/{world.acme.id}/members"
    assert "Alice" not in browser.get(page, {"email": found.email.upper()}).text
    assert "Bob" in browser.get(page, {"email": found.email.upper()}).text
    for nobody in (found.email[:5], world.mallory.email):
        assert "Nobody with exactly this address" in browser.get(page, {"email": nobody}).text


def test_the_timeline_is_read_in_pages(browser: Client, world: World) -> None:
    for number in range(60):
        operations.rename_organization(
            actor=world.alice.as_actor(), org_id=world.acme.id, name=f"Acme {number}"
        )
    enter(browser, world.acme)
    page = f"/o/{world.acme.id}/timeline"
    first = browser.get(page)
    assert "Acme 59" in first.text
    assert "Acme 3<" not in first.text
    older = first.text.split('<a href="?before=')[1].split('"')[0]
    assert "Acme 3<" in browser.get(f"{page}?before={older}").text
    assert browser.get(page, {"before": "nonsense"}).status_code == 404


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("reason", "", "Use one line of 1 to 200"),
        ("reason", "   ", "Use one line of 1 to 200"),
        ("reason", "x" * 201, "Use one line of 1 to 200"),
        ("reason", "their key is AKIAIOSFODNN7EXAMPLE", "without a password or token"),
        ("ticket", "", "Use one line of 1 to 60"),
        ("ticket", "T" * 61, "Use one line of 1 to 60"),
        ("organization", "", "There is no organization"),
        ("organization", "no-such-organization", "There is no organization"),
        ("organization", "00000000-0000-8000-8000-000000000000", "There is no organization"),
    ],
)
def test_n3_nobody_enters_without_organization_reason_and_ticket(
    browser: Client, world: World, field: str, value: str, words: str
) -> None:
    given = {"organization": world.acme.slug, "reason": "help", "ticket": "T-1"} | {field: value}
    answer = browser.post("/enter", given)
    assert answer.status_code == 422
    assert words in answer.text.split(f'id="{field}"')[1].split('<div class="field">')[0]
    assert not events(world.acme, "support.entered")


def test_n3_a_visit_is_over_when_its_time_is(
    browser: Client, world: World, sam: Person, admin: psycopg.Connection
) -> None:
    enter(browser, world.acme)
    end_visits(admin, sam)
    for page in inside_pages(world.acme):
        assert browser.get(page).status_code == 404
    assert browser.post(f"/o/{world.acme.id}/leave").status_code == 404
    assert visits.end_overdue_visits() >= 1
    visits.end_overdue_visits()
    ended = events(world.acme, "support.ended")
    assert [(event.actor_kind, event.target_label, event.facts) for event in ended] == [
        ("system", "Sam", {"cause": "expired"})
    ]
    enter(browser, world.acme)
    assert browser.get(f"/o/{world.acme.id}/").status_code == 200


def test_who_was_late_to_leave_enters_the_next_without_waiting_for_the_sweep(
    browser: Client, world: World, sam: Person, admin: psycopg.Connection
) -> None:
    enter(browser, world.acme)
    end_visits(admin, sam)
    enter(browser, world.mallet)
    assert len(events(world.acme, "support.ended")) == 1


def test_n3_nobody_is_in_two_organizations(browser: Client, world: World, sam: Person) -> None:
    enter(browser, world.acme)
    given = {"organization": world.mallet.slug, "reason": "help", "ticket": "T-2"}
    answer = browser.post("/enter", given)
    assert answer.status_code == 409
    assert "Leave that one first" in answer.text
    assert browser.get(f"/o/{world.mallet.id}/").status_code == 404
    assert not events(world.mallet, "support.entered")
    browser.post(f"/o/{world.acme.id}/leave")
    enter(browser, world.mallet)
    assert browser.get(f"/o/{world.acme.id}/").status_code == 404
    assert browser.get(f"/o/{world.mallet.id}/").status_code == 200


def test_entering_again_is_the_same_visit(browser: Client, world: World) -> None:
    for _ in range(2):
        enter(browser, world.acme)
    assert len(events(world.acme, "support.entered")) == 1


def test_n3_a_colleague_s_visit_is_not_one_s_own(browser: Client, world: World) -> None:
    enter(browser, world.acme)
    other = staff_browser(world.person("Sue"))
    assert other.get(f"/o/{world.acme.id}/").status_code == 404
    assert other.post(f"/o/{world.acme.id}/leave").status_code == 404
    enter(other, world.acme)
    assert other.get(f"/o/{world.acme.id}/").status_code == 200


def test_a_visit_lasts_no_longer_than_the_grant(browser: Client, world: World, sam: Person) -> None:
    with override_settings(SUPPORT_VISIT_S=30 * 24 * 3600):
        enter(browser, world.acme)
    with tenancy.enter(world.acme.id):
        assert SupportVisit.objects.get().until < SupportVisit.objects.get().entered_at + timedelta(days=8)


@pytest.mark.parametrize("action", Action)
def test_n3_support_may_read_inside_its_visit_and_nothing_else(
    browser: Client, world: World, sam: Person, action: Action
) -> None:
    enter(browser, world.acme)
    actor = visits.support_actor(actor=sam.as_actor(), org_id=world.acme.id)
    with tenancy.enter(world.acme.id):
        if action in SUPPORT_MAY:
            policy.require(actor, action, world.acme)
        else:
            with pytest.raises(NotAllowed) as refused:
                policy.require(actor, action, world.acme)
            assert refused.value.denial.rule == "support-reads-only"
    with tenancy.enter(world.mallet.id), pytest.raises(NotVisible):
        policy.require(actor, action, world.mallet)
    visits.leave_organization(actor=sam.as_actor(), org_id=world.acme.id)
    with tenancy.enter(world.acme.id), pytest.raises(NotVisible):
        policy.require(actor, action, world.acme)


def test_n3_support_changes_nothing_by_the_operations(browser: Client, world: World, sam: Person) -> None:
    enter(browser, world.acme)
    actor = visits.support_actor(actor=sam.as_actor(), org_id=world.acme.id)
    with pytest.raises(NotAllowed):
        operations.rename_organization(actor=actor, org_id=world.acme.id, name="Taken over")
    with pytest.raises(NotAllowed):
        operations.add_member(actor=actor, org_id=world.acme.id, person=sam, role=Role.VIEWER)


def test_n3_a_visit_opens_nothing_at_the_console(browser: Client, world: World, sam: Person) -> None:
    enter(browser, world.acme)
    assert signed_in(sam).get(f"/o/{world.acme.slug}/").status_code == 404


def test_n3_outside_of_a_visit_no_page_names_a_tenant(browser: Client, world: World) -> None:
    """Ids, states, times and counts alone: canaries stand in every name, address and free text of a tenant."""
    owner = world.person("Canaria")
    tenant = operations.create_organization(
        actor=SYSTEM, slug=f"canary-{uuid4().hex[:8]}", name="Canary Works", owner=owner
    )
    colleague = staff_browser(world.person("Sue"))
    enter(colleague, tenant, reason="Canary reason")
    pages = [browser.get(page) for page in READ_PAGES]
    assert {page.status_code for page in pages} == {200}
    shown = "\n".join(page.text for page in pages).lower()
    assert str(tenant.id) in shown
    for canary in (tenant.slug, "canary", "canaria", owner.email, "t-4711"):
        assert canary.lower() not in shown, canary
    # While a visit is on, the pages outside of it still name nobody else.
    enter(browser, world.acme)
    shown = "\n".join(browser.get(page).text for page in READ_PAGES).lower()
    assert "canary" not in shown


def test_n3_a_list_answers_no_question_about_a_column(browser: Client, world: World) -> None:
    for question in (
        "name__startswith=A",
        f"slug={world.acme.slug}",
        "person__email__contains=a",
        "id__lt=f",
    ):
        for page in ("organizations", "visits", "staff"):
            assert browser.get(f"/lists/{page}/?{question}").status_code in {302, 400}


def test_the_list_counts(browser: Client, world: World) -> None:
    assert world.bob.id
    row = browser.get("/lists/organizations/").text.split(str(world.acme.id))[1].split("<tr")[0]
    assert ">2<" in "".join(row.split())
    assert support.figures(actor=world.person("Sam").as_actor()).organizations >= 1


def test_n3_the_figures_are_for_staff(world: World) -> None:
    with pytest.raises(NotAllowed):
        support.figures(actor=world.bob.as_actor())
    staff.grant_staff(actor=SYSTEM, person=world.bob, days=1)
    assert support.figures(actor=world.bob.as_actor()).staff >= 1
