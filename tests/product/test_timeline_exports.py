"""Exports over HTTP: verifiable or for reading, on record before the first byte, for those who may (A3)."""

import csv
import io
from collections import Counter

import pytest
from django.http import HttpResponse
from django.test import Client

from audit.append import append
from audit.filters import Filter
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import SYSTEM, UserActor
from envforge.errors import Invalid, Unavailable
from envforge_protocol.audit.verify import verify
from orgs import operations
from tests.product.chains import keys, seal, sign
from tests.product.test_timeline import events, fill
from tests.product.visitors import signed_in
from tests.product.world import World
from timeline import deliveries, limits
from timeline.exports import make_export
from timeline.limits import Abandoned
from timeline.rows import FORMULA, Form


def export(browser: Client, world: World, **fields: str) -> HttpResponse:
    return browser.post(f"/o/{world.acme.slug}/timeline/export", fields)  # type: ignore[return-value]


def body(answer: HttpResponse) -> bytes:
    content = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    answer.close()
    assert len(content) == int(answer["Content-Length"])
    return content


@pytest.fixture
def filled(world: World) -> World:
    fill(world, 5)
    seal()
    sign()
    return world


def test_json_lines_verify_offline(filled: World) -> None:
    answer = export(signed_in(filled.alice), filled, form="jsonl")
    assert answer["Content-Type"] == "application/jsonl"
    assert "-verifiable.jsonl" in answer["Content-Disposition"]
    report = verify(io.BytesIO(body(answer)), keys())
    assert report.ok, report.problems
    assert (report.events, report.omitted) == (7, 0)
    told = events(filled, kind="audit.exported")[0]
    assert (told.facts, told.actor_id) == ({"form": "jsonl", "events": 7}, str(filled.alice.id))


def test_filters_hold_and_what_they_leave_out_stands_as_digests(filled: World) -> None:
    answer = export(signed_in(filled.alice), filled, form="jsonl", kind="organization.renamed")
    report = verify(io.BytesIO(body(answer)), keys())
    assert report.ok
    assert (report.events, report.omitted) == (5, 2)
    assert events(filled, kind="audit.exported")[0].facts["events"] == 5


def test_csv_is_for_reading_and_stays_csv(filled: World) -> None:
    answer = export(signed_in(filled.alice), filled, form="csv", kind="organization.renamed")
    assert "-for-reading.csv" in answer["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(body(answer).decode(), newline="")))
    assert len(rows) == 5
    assert rows[0]["sentence"] == "EnvForge renamed the organization to Acme"
    assert rows[0]["facts"] == 'previous="Name 0"'
    assert [int(row["sequence"]) for row in rows] == sorted(int(row["sequence"]) for row in rows)
    assert events(filled, kind="audit.exported")[0].facts == {"form": "csv", "events": 5}


@pytest.mark.parametrize("begins", [sign for sign in FORMULA if sign.isprintable()])
def test_a_name_never_runs_as_a_formula(world: World, begins: str) -> None:
    name = f'{begins}HYPERLINK("http://mallet.test","x")'
    operations.rename_organization(actor=world.alice.as_actor(), org_id=world.acme.id, name=name)
    seal()
    content = body(export(signed_in(world.alice), world, form="csv")).decode()
    cells = [cell for row in csv.reader(io.StringIO(content, newline="")) for cell in row]
    assert f"'{name}" in cells
    assert not [cell for cell in cells if cell.lstrip().startswith(FORMULA) and cell[0] != "'"]


def test_nothing_sealed_makes_a_readable_file(world: World) -> None:
    browser = signed_in(world.alice)
    assert world.acme
    assert body(export(browser, world, form="jsonl")).count(b"\n") == 2
    assert body(export(browser, world, form="csv")).decode().count("\r\n") == 1


@pytest.mark.parametrize(
    "fields",
    [{}, {"form": "xlsx"}, {"form": "csv", "kind": "no.such"}, {"form": "csv", "progress": "../../x"}],
)
def test_what_cannot_be_read_is_refused_and_nothing_exported(filled: World, fields: dict[str, str]) -> None:
    assert export(signed_in(filled.alice), filled, **fields).status_code == 422
    assert events(filled, kind="audit.exported") == []


def test_strangers_and_other_roles_are_refused(filled: World) -> None:
    assert export(signed_in(filled.mallory), filled, form="csv").status_code == 404
    assert export(signed_in(filled.bob), filled, form="csv").status_code == 403
    assert events(filled, kind="access.denied")[0].facts["action"] == "audit.export"
    assert events(filled, kind="audit.exported") == []


def test_exporting_takes_the_consoles_own_form(filled: World) -> None:
    browser = signed_in(filled.alice)
    assert browser.get(f"/o/{filled.acme.slug}/timeline/export").status_code == 405
    browser.handler.enforce_csrf_checks = True
    assert export(browser, filled, form="csv").status_code == 403


def test_another_organizations_ids_export_nothing_of_it(filled: World) -> None:
    assert filled.mallet
    seal()
    browser = signed_in(filled.alice)
    content = body(export(browser, filled, form="csv", target=str(filled.mallet.id)))
    assert content.count(b"\r\n") == 1
    assert b"Mallory" not in body(export(browser, filled, form="jsonl", actor=str(filled.mallory.id)))


def test_progress_is_told_to_who_exports_and_to_nobody_else(filled: World) -> None:
    browser, name = signed_in(filled.alice), "0a1b2c3d-1111"
    assert browser.get(f"/account/exports/{name}").json()["state"] == "waiting"
    body(export(browser, filled, form="jsonl", progress=name))
    assert browser.get(f"/account/exports/{name}").json() == {"state": "made", "passed": 7, "size": 7}
    assert signed_in(filled.adam).get(f"/account/exports/{name}").json()["state"] == "waiting"
    assert export(signed_in(filled.bob), filled, form="jsonl", progress=name).status_code == 403
    assert signed_in(filled.bob).get(f"/account/exports/{name}").json()["state"] == "failed"


def actor_of(world: World) -> UserActor:
    return world.alice.as_actor()


def test_an_abandoned_export_stops_and_is_not_on_record(filled: World) -> None:
    heard: list[int] = []

    def leave(passed: int, size: int) -> None:
        heard.append(size)
        raise Abandoned

    with pytest.raises(Abandoned):
        make_export(actor=actor_of(filled), slug=filled.acme.slug, wanted=Filter(), form=Form.CSV, tell=leave)
    assert heard == [7]
    assert events(filled, kind="audit.exported") == []


@pytest.mark.parametrize(
    ("limit", "value", "error"), [("LONGEST_S", -1, Invalid), ("SPARE_BYTES", 2**62, Unavailable)]
)
def test_an_export_has_bounds(
    world: World, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, error: type[Exception]
) -> None:
    fill(world, 5)
    seal()
    monkeypatch.setattr(limits, limit, value)
    monkeypatch.setattr(limits, "STEP", 2)
    with pytest.raises(error):
        make_export(
            actor=actor_of(world), slug=world.acme.slug, wanted=Filter(), form=Form.CSV, tell=lambda *_: None
        )
    assert events(world, kind="audit.exported") == []


def test_too_many_at_once_are_asked_to_wait(filled: World, monkeypatch: pytest.MonkeyPatch) -> None:
    others, own = "user:somebody", f"user:{filled.alice.id}"
    browser = signed_in(filled.alice)
    for taken in ({others: deliveries.AT_ONCE + deliveries.WAITING}, {own: deliveries.OF_ONE}):
        monkeypatch.setattr(deliveries, "_of_each", Counter(taken))
        assert export(browser, filled, form="csv").status_code == 503
    free = Counter({others: deliveries.AT_ONCE + deliveries.WAITING - 1})
    monkeypatch.setattr(deliveries, "_of_each", free)
    assert body(export(browser, filled, form="csv"))
    assert own not in free, "a place is given back"


def test_every_kind_of_fact_can_stand_in_a_cell(world: World) -> None:
    with tenancy.enter(world.acme.id):
        append(EventKind.CAP_REACHED, actor=SYSTEM, target=world.acme, mode="stop", hours=40)
    seal()
    content = body(export(signed_in(world.alice), world, form="csv", kind="cap.reached")).decode()
    assert 'mode=""stop""; hours=40' in content
