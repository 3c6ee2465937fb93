"""The pages of projects: what a reader is told, what a maintainer does, and what nobody else may (W1-W3)."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from envforge import tenancy
from orgs.models import ConsoleSession, RoleGrant
from orgs.operations import create_service_account
from orgs.policy import Action
from orgs.roles import Role, Scope
from projects import operations, selectors
from projects.console.reviews import lines_of
from projects.models import Project, Repository
from tests.product.secret_places import maintainer
from tests.product.store import set_secret
from tests.product.test_timeline import events
from tests.product.things import issue, propose
from tests.product.visitors import anonymous, signed_in
from tests.product.world import World

WEB = """version: 1
service: {name: web}
command: run
ports: {web: 3000}
inputs: {BACKEND: route, KEY: secret, LEVEL: literal}
resources: {database: postgres}
env: {BACKEND: "${inputs.BACKEND}", KEY: "${inputs.KEY}", LEVEL: "${inputs.LEVEL}", DB: "${resources.database.url}"}
"""
BACKEND = "version: 1\nservice: {name: backend}\ncommand: run\nports: {web: 3000}\n"


def at(world: World, tail: str = "") -> str:
    return f"/o/{world.acme.slug}/projects{tail}"


def words(answer: Any) -> str:
    """What a reader sees of a page, in one line."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


@pytest.fixture
def alice(world: World) -> Client:
    """Her browser, with the project Scheduler and its repository web."""
    browser = signed_in(world.alice)
    made = browser.post(at(world), {"name": "Scheduler", "slug": "scheduler"})
    assert made["location"] == at(world, "/scheduler")
    added = {"name": "web", "url": "https://git.test/acme/web.git", "default_branch": "main", "access": ""}
    assert browser.post(at(world, "/scheduler"), added).status_code == 303
    return browser


def repository(world: World, name: str = "web") -> UUID:
    with tenancy.enter(world.acme.id):
        return Repository.objects.get(name=name, removed_at=None).id


def test_a_project_is_created_its_contract_reviewed_and_bound_until_it_can_wake(
    world: World, alice: Client
) -> None:
    page = at(world, "/scheduler")
    assert "an approved contract" in words(alice.get(page))
    web = propose(world, repository(world), WEB)
    assert "1 contract waits for a review" in words(alice.get(page))
    review = words(alice.get(f"{page}/proposals/{web}"))
    assert "Nothing of web was approved yet" in review
    assert "new secret input KEY" in review
    assert alice.post(f"{page}/proposals/{web}", {"decision": "approve"})["location"] == page
    seen = words(alice.get(page))
    for lacking in ("KEY comes from nowhere yet", "the secret KEY", "the postgres resource database"):
        assert lacking in seen
    added = {"name": "backend", "url": "https://git.test/b.git", "default_branch": "main"}
    alice.post(page, added)
    backend = propose(world, repository(world, "backend"), BACKEND)
    alice.post(f"{page}/proposals/{backend}", {"decision": "approve"})
    secret = set_secret(world, "KEY")
    for name, value in (("BACKEND", "backend"), ("KEY", str(secret.id)), ("LEVEL", "debug")):
        answer = alice.post(f"{page}/repositories/web/inputs/{name}", {"value": value})
        assert answer.status_code == 303, words(answer)
    said = {"mode": "managed_local", "owner": "Alice", "ready_within_s": "30", "cleanup": "keep"}
    assert alice.post(f"{page}/repositories/web/resources/database", said).status_code == 303
    seen = words(alice.get(page))
    assert "Everything in Scheduler can wake" in seen
    assert "KEY comes from the secret KEY" in seen
    assert "EnvForge runs it beside the service" in seen
    assert alice.post(f"{page}/repositories/web/inputs/LEVEL", {"forget": "yes"}).status_code == 303
    assert "web cannot wake yet" in words(alice.get(page))


def test_the_difference_is_shown_line_by_line_with_the_weight_of_each_change(
    world: World, alice: Client
) -> None:
    page = at(world, "/scheduler")
    first = propose(world, repository(world), WEB)
    alice.post(f"{page}/proposals/{first}", {"decision": "approve"})
    changed = (
        WEB.replace("LEVEL: literal", "LEVEL: literal, TOKEN: secret")
        .replace("env: {", 'env: {TOKEN: "${inputs.TOKEN}", ')
        .replace("command: run", "command: walk")
    )
    seen = alice.get(f"{page}/proposals/{propose(world, repository(world), changed, branch='feature')}")
    assert "web asks for more: 3 changes want a close look" in words(seen)
    assert "seen in the branch feature" in words(seen).lower()
    assert '<tr class="removed"><td class="number">3</td><td class="number"></td>' in seen.content.decode()
    assert '<tr class="added"><td class="number"></td><td class="number">3</td>' in seen.content.decode()
    assert "Until it is approved, wakes use the contract that Alice approved" in words(seen)


def test_w2_a_contract_cannot_write_into_the_page_of_its_review(world: World, alice: Client) -> None:
    hostile = WEB.replace("command: run", "command: run # <script>x</script>").replace(
        "LEVEL: literal", 'LEVEL: {kind: literal, description: "a ` <img src=x> ` b"}'
    )
    proposal = propose(world, repository(world), hostile)
    seen = alice.get(at(world, f"/scheduler/proposals/{proposal}")).content.decode()
    assert "&lt;script&gt;x&lt;/script&gt;" in seen
    assert "<script>x" not in seen
    assert "<img" not in seen
    assert "<img" not in alice.get(at(world, "/scheduler")).content.decode()


def test_lines_are_numbered_in_both_files_and_gaps_are_told() -> None:
    old = [f"line {number}" for number in range(1, 21)]
    new = [*old[:9], "-- other", *old[10:]]
    from envforge_protocol.contract.difference import text_difference

    lines = list(lines_of(text_difference("\n".join(old), "\n".join(new))))
    assert lines[0].kind == "gap"
    changed = [(one.kind, one.old, one.new, one.text) for one in lines if one.kind in {"added", "removed"}]
    assert changed == [("removed", 10, None, "line 10"), ("added", None, 10, "-- other")]


def test_a_file_that_is_no_contract_is_shown_by_line(world: World, alice: Client) -> None:
    propose(world, repository(world), "version: 1\nservice: {name: web, kind: ap}\n", branch="wip")
    seen = words(alice.get(at(world, "/scheduler")))
    assert "envforge.yml of web in the branch wip" in seen
    assert "line 2, column" in seen
    assert "did you mean app" in seen


@pytest.mark.parametrize("who", ["bob", "vera"])
def test_who_may_not_decide_reads_why_and_finds_no_form(world: World, alice: Client, who: str) -> None:
    proposal = propose(world, repository(world), WEB)
    browser = signed_in(getattr(world, who))
    page = at(world, "/scheduler")
    seen = browser.get(f"{page}/proposals/{proposal}")
    assert "You can look, not decide." in words(seen)
    assert "maintainer" in words(seen)
    for tail in (
        f"/proposals/{proposal}",
        "",
        "/repositories/web",
        "/repositories/web/inputs/KEY",
        "/archive",
    ):
        form = browser.get(page + tail).content.decode().partition("<main")[2]
        assert "<form" not in form
    assert browser.post(f"{page}/proposals/{proposal}", {"decision": "approve"}).status_code == 403
    with tenancy.enter(world.acme.id):
        assert not Project.objects.get().repositories.get().proposals.exclude(decision="proposed").exists()


def test_a_maintainer_of_one_project_decides_there_and_sees_no_other(world: World, alice: Client) -> None:
    alice.post(at(world), {"name": "Other", "slug": "other"})
    with tenancy.enter(world.acme.id):
        project = Project.objects.get(slug="scheduler")
    mia = signed_in(maintainer(world, project.id))
    proposal = propose(world, repository(world), WEB)
    assert mia.post(at(world, f"/scheduler/proposals/{proposal}"), {"decision": "reject"}).status_code == 303
    assert "Mia rejected this contract of web" in words(
        mia.get(at(world, f"/scheduler/proposals/{proposal}"))
    )
    assert mia.post(at(world, "/other/archive")).status_code in {403, 404}


def test_i5_a_proposal_is_found_in_its_own_project_alone(world: World, alice: Client) -> None:
    alice.post(at(world), {"name": "Other", "slug": "other"})
    proposal = propose(world, repository(world), WEB)
    assert alice.get(at(world, f"/scheduler/proposals/{proposal}")).status_code == 200
    assert alice.get(at(world, f"/other/proposals/{proposal}")).status_code == 404
    api = f"/api/v1/orgs/{world.acme.slug}/projects/other/proposals/{proposal}"
    assert alice.get(api).status_code == 404
    assert alice.post(api + "/approve", content_type="application/json").status_code == 404
    stranger = signed_in(world.mallory)
    assert stranger.get(at(world, f"/scheduler/proposals/{proposal}")).status_code == 404
    # Nor below another organization's name.
    assert stranger.get(f"/o/{world.mallet.slug}/projects/scheduler/proposals/{proposal}").status_code == 404


def test_a_page_that_follows_by_itself_says_what_came_and_keeps_no_session_alive(
    world: World, alice: Client
) -> None:
    page, earlier = at(world, "/scheduler"), timezone.now() - timedelta(minutes=30)
    propose(world, repository(world), WEB)
    ConsoleSession.objects.filter(person=world.alice).update(last_seen_at=earlier)
    seen = alice.get(page, headers={"X-Live": "1"}).content.decode()
    # The heading leads to the page as it is now; nothing on the page moves.
    assert f'<h1><a class="named" href="{page}">1 contract waits' in seen
    assert ConsoleSession.objects.get(person=world.alice).last_seen_at == earlier
    assert "<h1>1 contract waits" in alice.get(page).content.decode()
    assert ConsoleSession.objects.get(person=world.alice).last_seen_at > earlier


def test_an_archived_project_is_read_and_has_no_form(world: World, alice: Client) -> None:
    proposal = propose(world, repository(world), WEB)
    page = at(world, "/scheduler")
    assert alice.post(f"{page}/archive").status_code == 303
    assert "Scheduler is archived" in words(alice.get(page))
    assert "Archived" in words(alice.get(at(world)))
    for tail in (
        "",
        f"/proposals/{proposal}",
        "/repositories/web",
        "/repositories/web/inputs/KEY",
        "/repositories/web/resources/database",
    ):
        assert "<form" not in alice.get(page + tail).content.decode().partition("<main")[2]
    assert alice.post(f"{page}/proposals/{proposal}", {"decision": "approve"}).status_code == 409
    assert alice.post(f"{page}/repositories/web/remove").status_code == 409


def provide(alice: Client, repository: str, secret_id: UUID) -> None:
    said = {"mode": "customer_provided", "owner": "Ops", "ready_within_s": "30", "cleanup": "keep"}
    sent = said | {"values.url": str(secret_id)}
    assert alice.post(f"{repository}/resources/database", sent).status_code == 303


@pytest.mark.parametrize(
    "tail",
    [
        "",
        "/scheduler",
        "/scheduler/repositories/web",
        "/scheduler/repositories/web/inputs/KEY",
        "/scheduler/proposals/{}",
    ],
)
def test_each_page_takes_the_same_number_of_queries_whatever_there_is(
    world: World, alice: Client, tail: str
) -> None:
    address = at(world, tail.format(propose(world, repository(world), WEB)))
    # One of each kind is there already; from none to one, what belongs to it is fetched too.
    provide(alice, at(world, "/scheduler/repositories/web"), set_secret(world, "KEY").id)
    alice.get(address)
    with CaptureQueriesContext(connection) as few:
        alice.get(address)
    for number in range(4):
        alice.post(at(world), {"name": f"More {number}", "slug": f"more-{number}"})
        alice.post(
            at(world, "/scheduler"),
            {"name": f"r{number}", "url": "https://git.test/r.git", "default_branch": "main"},
        )
        other = repository(world, f"r{number}")
        proposal = propose(world, other, WEB.replace("name: web", f"name: w{number}"))
        assert proposal
        operations.approve_contract(actor=world.alice.as_actor(), org_id=world.acme.id, proposal_id=proposal)
        propose(world, other, "no contract", branch=f"b{number}")
        secret = set_secret(world, f"KEY{number}")
        alice.post(at(world, f"/scheduler/repositories/r{number}/inputs/KEY"), {"value": str(secret.id)})
        provide(alice, at(world, f"/scheduler/repositories/r{number}"), secret.id)
    with CaptureQueriesContext(connection) as many:
        alice.get(address)
    assert len(many) == len(few)


def test_a_list_that_is_cut_says_so_and_counts_all(
    world: World, alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    propose(world, repository(world), WEB)
    for number in range(3):
        alice.post(at(world), {"name": f"Another {number}", "slug": f"another-{number}"})
    monkeypatch.setattr("projects.selectors.listing.MOST_SHOWN", 2)
    page = alice.get(at(world)).content.decode()
    assert "The first 2 by name, of 4" in page
    assert "1 contract waits for a review" in page, "of a project that is not shown"


def test_no_page_shows_an_id_but_in_what_it_sends(world: World, alice: Client) -> None:
    proposal = propose(world, repository(world), WEB)
    set_secret(world, "KEY")
    for tail in (
        "",
        "/scheduler",
        f"/scheduler/proposals/{proposal}",
        "/scheduler/repositories/web/inputs/KEY",
    ):
        assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}", words(alice.get(at(world, tail))))


def test_who_creates_a_project_can_run_it(world: World) -> None:
    bob = signed_in(world.bob)
    assert bob.post(at(world), {"name": "Bob's", "slug": "bobs"}).status_code == 303
    given = next(one for one in events(world, kind="role.granted") if one.facts["scope"] == "project")
    assert given.target_id == str(world.bob.id)
    assert (given.actor_kind, given.facts["role"], given.facts["scope"]) == (
        "system",
        "maintainer",
        "project",
    )
    added = {"name": "web", "url": "https://git.test/web.git", "default_branch": "main"}
    assert bob.post(at(world, "/bobs"), added).status_code == 303
    proposal = propose(world, repository(world), WEB)
    assert bob.post(at(world, f"/bobs/proposals/{proposal}"), {"decision": "approve"}).status_code == 303


def test_whose_role_in_the_organization_covers_it_is_given_no_other(world: World, alice: Client) -> None:
    adam = signed_in(world.adam)
    assert adam.post(at(world), {"name": "Adam's", "slug": "adams"}).status_code == 303
    with tenancy.enter(world.acme.id):
        assert not RoleGrant.objects.filter(scope=Scope.PROJECT).exists()


def test_n2_a_program_that_creates_a_project_is_given_nothing(world: World) -> None:
    account = create_service_account(
        actor=world.alice.as_actor(),
        org_id=world.acme.id,
        creator=world.alice,
        name="ci",
        role=Role.DEVELOPER,
    )
    token = issue(world, account.id, Action.PROJECT_CREATE, Action.PROJECT_VIEW, Action.REPOSITORY_MANAGE)[1]
    api = f"/api/v1/orgs/{world.acme.slug}/projects"
    program = anonymous()
    program.defaults["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    assert program.post(api, {"name": "Ci", "slug": "ci"}, content_type="application/json").status_code == 200
    added = {"name": "web", "url": "https://git.test/web.git"}
    answer = program.post(f"{api}/ci/repositories", added, content_type="application/json")
    assert answer.status_code == 403


def test_the_lists_of_a_viewer_and_of_nobody(world: World, alice: Client) -> None:
    assert "You can look, not create one." in words(signed_in(world.vera).get(at(world)))
    assert signed_in(world.bill).get(at(world)).status_code == 403
    assert signed_in(world.bill).get(at(world, "/scheduler")).status_code == 404
    assert selectors.projects(actor=world.vera.as_actor(), slug=world.acme.slug).create.allowed is False
    assert (
        signed_in(world.member("Rita", Role.BILLING)).post(at(world, "/scheduler/archive")).status_code == 404
    )
