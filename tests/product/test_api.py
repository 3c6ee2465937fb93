"""The API's doors: who gets in, what refusals look like, pages, rates, and a description that is true."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from audit.filters import Filter
from audit.selectors import page as events_page
from envforge import api_urls, tenancy
from envforge.cursors import write_cursor
from envforge_protocol.audit.checkpoints import Checkpoint
from envforge_protocol.audit.verify import verify
from orgs.console.door import COOKIE
from tests.product.chains import keys, seal, sign
from tests.product.test_timeline import events, fill
from tests.product.visitors import anonymous, signed_in
from tests.product.world import World

ORG = ("", "/events", "/events/export?format=csv", "/chain")


def at(world: World, tail: str = "") -> str:
    return f"/api/v1/orgs/{world.acme.slug}{tail}"


def problem(answer: object, status: int) -> dict[str, object]:
    assert answer.status_code == status  # type: ignore[attr-defined]
    assert answer["Content-Type"] == "application/problem+json"  # type: ignore[index]
    read: dict[str, object] = answer.json()  # type: ignore[attr-defined]
    assert read["status"] == status
    assert str(read["request_id"]).startswith("req_")
    return read


def test_my_organizations_and_one_of_them(world: World) -> None:
    assert world.mallet
    mine = {"slug": world.acme.slug, "name": "Acme"}
    browser = signed_in(world.alice)
    assert browser.get("/api/v1/orgs").json() == {"organizations": [mine]}
    assert browser.get(at(world)).json() == mine


@pytest.mark.parametrize("tail", ORG)
def test_without_a_credential_the_answer_is_401_with_a_challenge(world: World, tail: str) -> None:
    for browser in (anonymous(), anonymous()):
        answer = browser.get(at(world, tail))
        problem(answer, 401)
        assert answer["WWW-Authenticate"] == 'Bearer realm="EnvForge"'
        browser.cookies[COOKIE] = "made-up"


@pytest.mark.parametrize("tail", ORG)
def test_i5_a_stranger_gets_the_same_404_as_for_nothing(world: World, tail: str) -> None:
    browser = signed_in(world.mallory)
    there = problem(browser.get(at(world, tail)), 404)
    nowhere = problem(browser.get(f"/api/v1/orgs/no-such-{world.tag}{tail}"), 404)
    assert {**there, "request_id": ""} == {**nowhere, "request_id": ""}


@pytest.mark.parametrize("tail", ORG[1:])
@pytest.mark.parametrize("who", ["bob", "vera", "bill"])
def test_a_member_without_the_role_gets_403_with_its_rule(world: World, who: str, tail: str) -> None:
    read = problem(signed_in(getattr(world, who)).get(at(world, tail)), 403)
    assert read["rule"]
    assert "owner" in str(read["detail"])
    assert events(world, kind="access.denied")


@pytest.mark.parametrize("tail", ["", "/events", "/events/export"])
def test_unsafe_methods_need_the_consoles_token_and_then_are_not_taken(world: World, tail: str) -> None:
    browser = signed_in(world.alice)
    browser.handler.enforce_csrf_checks = True
    assert problem(browser.post(at(world, tail)), 403)["rule"] == "csrf"
    token = "a" * 32
    browser.cookies["__Host-envforge-csrf"] = token
    problem(browser.post(at(world, tail), headers={"x-csrftoken": token}), 405)


def test_nothing_is_there_says_so_as_a_problem(world: World) -> None:
    problem(signed_in(world.alice).get("/api/v1/nothing"), 404)


def test_events_come_in_pages_without_gap_or_repeat(world: World) -> None:
    fill(world, 23)
    browser, seen = signed_in(world.alice), []
    cursor: str | None = ""
    browser.get(at(world, "/events"))
    while cursor is not None:
        page = browser.get(at(world, "/events"), {"limit": "5", "cursor": cursor}).json()
        assert len(page["events"]) <= 5
        seen += [event["id"] for event in page["events"]]
        cursor = page["next"]
    assert seen == [str(event.id) for event in events(world)]


def test_an_event_has_its_sentence_facts_and_names(world: World) -> None:
    fill(world, 1)
    seal()
    page = signed_in(world.alice).get(at(world, "/events"), {"kind": "organization.renamed"}).json()
    (event,) = page["events"]
    assert event["sentence"] == "EnvForge renamed the organization to Acme"
    assert event["actor"] == {"kind": "system", "id": "system", "label": "EnvForge"}
    assert event["target"] == {"kind": "organization", "id": str(world.acme.id), "label": "Acme"}
    assert event["facts"] == {"previous": "Name 0"}
    assert event["sequence"] == 3
    assert event["at"].endswith("Z")


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "no.such"},
        {"actor": "a\x00b"},
        {"workspace": "x"},
        {"request": "x"},
        {"since": "x"},
        {"until": "x"},
        {"cursor": "x"},
        {"cursor": "_" * 32},
        {"limit": "0"},
        {"limit": "201"},
        {"limit": "-1"},
        {"limit": "9" * 30},
        {"limit": "٣"},
        {"limit": ""},
        {"knid": "member.joined"},
        {"format": "xml"},
    ],
    ids=str,
)
def test_what_cannot_be_read_is_named(world: World, wrong: dict[str, str]) -> None:
    read = problem(signed_in(world.alice).get(at(world, "/events"), wrong), 422)
    assert set(read["fields"]) == set(wrong)  # type: ignore[call-overload]


def test_another_organizations_ids_and_cursors_show_nothing_of_it(world: World) -> None:
    with tenancy.enter(world.mallet.id):
        foreign = events_page(Filter()).events
    browser = signed_in(world.alice)
    assert world.acme
    cursor = write_cursor((foreign[0].at, foreign[0].id))
    for query in (
        {"cursor": cursor},
        {"actor": str(world.mallory.id)},
        {"target": str(world.mallet.id)},
        {"workspace": str(world.mallet.id)},
    ):
        page = browser.get(at(world, "/events"), query).json()
        assert not {str(event.id) for event in foreign} & {event["id"] for event in page["events"]}


def test_it_costs_no_more_whatever_there_is(world: World) -> None:
    def queries(browser: Client, tail: str) -> int:
        with CaptureQueriesContext(connection) as caught:
            assert browser.get(at(world, tail)).status_code == 200
        return len(caught)

    browser = signed_in(world.alice)
    browser.get(at(world, "/events"))
    before = [queries(browser, tail) for tail in ("", "/events", "/chain")]
    fill(world, 300)
    seal()
    after = [queries(browser, tail) for tail in ("", "/events", "/chain")]
    assert all(now <= then for now, then in zip(after, before, strict=True))
    assert max(before) <= 14


def test_the_chain_with_a_checkpoint_to_keep(world: World) -> None:
    fill(world, 2)
    browser = signed_in(world.alice)
    assert browser.get(at(world, "/chain")).json()["checkpoint"] is None
    seal()
    sign()
    read = browser.get(at(world, "/chain")).json()
    assert (read["sealed_seq"], read["signed_seq"], read["unsealed"]) == (4, 4, 0)
    answer = browser.get(at(world, "/events/export?format=jsonl"))
    exported = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    answer.close()
    kept = Checkpoint.from_json(read["checkpoint"])
    assert verify(iter(exported.splitlines(keepends=True)), keys(), expect=kept).ok


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_an_export_is_what_the_console_exports(world: World, form: str) -> None:
    fill(world, 3)
    seal()
    browser = signed_in(world.alice)
    query = {"format": form, "kind": "organization.renamed"}
    answer = browser.get(at(world, "/events/export"), query, headers={"accept": "text/csv"})
    assert answer.status_code == 200
    assert f".{form}" in answer["Content-Disposition"]
    answer.close()
    assert events(world, kind="audit.exported")[0].facts == {"form": form, "events": 3}


@pytest.mark.parametrize("query", ["", "?format=xml", "?format=csv&kind=x", "?format=csv&form=csv"], ids=str)
def test_an_export_that_cannot_be_read_is_refused(world: World, query: str) -> None:
    problem(signed_in(world.alice).get(at(world, f"/events/export{query}")), 422)


def test_whoever_asks_too_often_waits_and_nobody_else_does(world: World) -> None:
    browser = signed_in(world.alice)
    with override_settings(API_RATES={"read": (3, 3600), "export": (1, 3600)}):
        assert [browser.get(at(world)).status_code for _ in range(4)] == [200, 200, 200, 429]
        answer = browser.get(at(world))
        problem(answer, 429)
        assert 1 <= int(answer["Retry-After"]) <= 3600
        assert signed_in(world.adam).get(at(world)).status_code == 200
        # Each scope has a count of its own.
        exported = browser.get(at(world, "/events/export?format=csv"))
        assert exported.status_code == 200
        exported.close()
        assert browser.get(at(world, "/events/export?format=csv")).status_code == 429


def test_the_description_is_whole_and_valid(tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    made = subprocess.run(
        [sys.executable, "manage.py", "spectacular", "--validate", "--fail-on-warn", "--format", "openapi-json", "--file", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    served = anonymous().get("/api/v1/schema").json()
    assert served == json.loads(file.read_text())
    named = {re.sub(r"<\w+:(\w+)>", r"{\1}", str(one.pattern)) for one in api_urls.urlpatterns}
    assert set(served["paths"]) == {f"/api/v1/{one}" for one in named - {"schema", "docs"}}
    for path, methods in served["paths"].items():
        for method, operation in methods.items():
            told = set(operation["responses"])
            assert told & {"200", "201", "202", "204"}, (path, method)
            assert {"401", "403", "404", "422", "429", "503"} <= told, (path, method)


def test_the_docs_page_reads_it_out_and_asks_nobody_else() -> None:
    page = anonymous().get("/api/v1/docs")
    assert page.status_code == 200
    assert "GET /api/v1/orgs/{slug}/events/export" in page.text
    assert "//" not in page.text.replace("<!doctype", "")
