"""Projects over the API: the whole way to a service that can wake, requests sent twice, and what is refused (W1-W3)."""

from typing import Any

import pytest
from django.test import Client

from envforge import tenancy
from projects import operations
from projects.models import Repository
from tests.product.store import set_secret
from tests.product.test_projects_pages import BACKEND, WEB, repository
from tests.product.test_projects_sources import CANARY
from tests.product.test_timeline import events
from tests.product.things import propose
from tests.product.visitors import signed_in
from tests.product.world import World


def at(world: World, tail: str = "") -> str:
    return f"/api/v1/orgs/{world.acme.slug}/projects{tail}"


def send(browser: Client, address: str, sent: Any = None, *, method: str = "post", key: str = "") -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    return getattr(browser, method)(address, sent or {}, content_type="application/json", headers=headers)


@pytest.fixture
def alice(world: World) -> Client:
    browser = signed_in(world.alice)
    assert send(browser, at(world), {"slug": "scheduler", "name": "Scheduler"}).status_code == 200
    for name in ("web", "backend"):
        sent = {"name": name, "url": f"https://git.test/acme/{name}.git"}
        assert send(browser, at(world, "/scheduler/repositories"), sent).status_code == 200
    return browser


def test_the_whole_way_to_a_service_that_can_wake(world: World, alice: Client) -> None:
    page = at(world, "/scheduler")
    for name, text in (("web", WEB), ("backend", BACKEND)):
        propose(world, repository(world, name), text)
    listed = alice.get(f"{page}/proposals?decision=proposed").json()
    assert [one["repository"] for one in listed["proposals"]] == ["backend", "web"]
    for one in listed["proposals"]:
        review = alice.get(f"{page}/proposals/{one['id']}").json()
        assert review["against"] is None
        assert review["changes"][0]["weight"] == "widens"
        assert send(alice, f"{page}/proposals/{one['id']}/approve").json() == {"decision": "approved"}
    secret = str(set_secret(world, "KEY").id)
    web = f"{page}/repositories/web"
    for name, sent in (
        ("BACKEND", {"source": "route", "route_to": "backend"}),
        ("KEY", {"source": "secret", "secret": secret}),
        ("LEVEL", {"source": "literal", "literal": "debug"}),
    ):
        assert alice.get(web).json()["missing"]
        assert send(alice, f"{web}/bindings/{name}", sent, method="put").status_code == 200
    provided = {"mode": "customer_provided", "owner": "Ops", "values": {"url": {"secret": secret}}}
    done = send(alice, f"{web}/resources/database", provided, method="put").json()
    assert done["missing"] == []
    assert done["resources"][0]["values"] == [{"property": "url", "secret": secret, "literal": ""}]
    assert [one["source"] for one in done["inputs"]] == ["route", "secret", "literal"]
    assert alice.delete(f"{web}/bindings/KEY").json()["missing"] == ["the secret KEY"]
    refused = alice.delete(f"{page}/repositories/backend")
    assert refused.status_code == 409
    assert "BACKEND of web leads to it" in refused.json()["detail"]
    assert alice.delete(web).json() == {"removed": True}
    assert alice.get(web).status_code == 404
    assert send(alice, f"{page}/archive").json() == {"archived": True}
    assert alice.get(at(world)).json()["archived"][0]["slug"] == "scheduler"


def test_a_request_sent_twice_with_its_key_changes_nothing_and_answers_the_same(
    world: World, alice: Client
) -> None:
    sent = {"slug": "again", "name": "Again"}
    first = send(alice, at(world), sent, key="one")
    before = len(events(world))
    assert send(alice, at(world), sent, key="one").json() == first.json()
    assert send(alice, at(world), sent, key="other").status_code == 409
    assert send(alice, at(world), sent).status_code == 409
    assert send(alice, at(world), {"slug": "else", "name": "Else"}, key="one").status_code == 409
    added = {"name": "docs", "url": "https://git.test/docs.git"}
    made = send(alice, at(world, "/again/repositories"), added, key="two")
    assert made.status_code == 200
    assert send(alice, at(world, "/again/repositories"), added, key="two").json() == made.json()
    other = {"name": "pages", "url": "https://git.test/pages.git"}
    assert send(alice, at(world, "/again/repositories"), other, key="two").status_code == 409
    assert len(events(world)) == before + 1
    assert send(alice, at(world), sent, key="k" * 201).status_code == 422
    # A key is one actor's: another's same key is another request.
    adam = signed_in(world.adam)
    assert send(adam, at(world), {"slug": "adams", "name": "Adam"}, key="one").status_code == 200


def test_what_cannot_be_used_is_named_and_not_repeated(world: World, alice: Client) -> None:
    propose(world, repository(world), WEB)
    web = at(world, "/scheduler/repositories/web")
    for address, sent, method, field in (
        (at(world), {"slug": CANARY, "name": "x"}, "post", "slug"),
        (at(world), {"slug": "x", "name": "x", "extra": "y"}, "post", "extra"),
        (web, {"url": f"https://{CANARY}@git.test/x.git"}, "put", "url"),
        (f"{web}/bindings/LEVEL", {"source": "literal", "literal": CANARY}, "put", "literal"),
        (f"{web}/bindings/LEVEL", {"source": "magic"}, "put", "source"),
        (f"{web}/bindings/NOTHING", {"source": "literal", "literal": "x"}, "put", "input"),
        (f"{web}/bindings/BACKEND", {"source": "route", "route_to": "nowhere"}, "put", "route_to"),
        (f"{web}/resources/database", {"mode": "managed_local", "owner": CANARY}, "put", "owner"),
        (
            f"{web}/resources/database",
            {"mode": "customer_cloud", "owner": "x", "values": {"url": {"secret": "x"}}},
            "put",
            "values",
        ),
        (
            f"{web}/resources/database",
            {"mode": "customer_cloud", "owner": "x", "values": {"host": {"literal": CANARY}}},
            "put",
            "values.host",
        ),
    ):
        answer = send(alice, address, sent, method=method)
        assert answer.status_code == 422, answer.content
        assert field in answer.json()["fields"]
        assert CANARY not in answer.content.decode()
    assert alice.get(at(world, "/scheduler/proposals?decision=maybe")).status_code == 422
    assert alice.get(at(world, "/scheduler/proposals?after=x")).status_code == 422


def test_proposals_come_page_by_page_newest_first(world: World, alice: Client) -> None:
    web = repository(world)
    made = []
    for number in range(53):
        proposal = propose(world, web, WEB + f"# {number}\ntests: {{t{number}: run}}\n")
        assert proposal
        # What nobody decided about is superseded.
        operations.reject_contract(actor=world.alice.as_actor(), org_id=world.acme.id, proposal_id=proposal)
        made.append(proposal)
    first = alice.get(at(world, "/scheduler/proposals")).json()
    assert [one["id"] for one in first["proposals"]] == [str(one) for one in reversed(made)][:50]
    last = alice.get(at(world, f"/scheduler/proposals?after={first['next']}")).json()
    assert [one["id"] for one in last["proposals"]] == [str(one) for one in reversed(made)][50:]
    assert last["next"] is None


def test_another_organizations_secret_and_project_are_none(world: World, alice: Client) -> None:
    with tenancy.enter(world.acme.id):
        before = Repository.objects.get(name="web").access_id
    mallory = signed_in(world.mallory)
    theirs = f"/api/v1/orgs/{world.mallet.slug}/projects"
    assert send(mallory, theirs, {"slug": "scheduler", "name": "Theirs"}).status_code == 200
    secret = str(set_secret(world, "KEY").id)
    stolen = {"name": "x", "url": "https://git.test/x.git", "access": secret}
    answer = send(mallory, f"{theirs}/scheduler/repositories", stolen)
    assert answer.status_code == 422
    assert "access" in answer.json()["fields"]
    assert mallory.get(f"{theirs}/scheduler/repositories/web").status_code == 404
    assert before is None
