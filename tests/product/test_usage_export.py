"""A month's usage as a file: what the page sums, for whoever may see it, and on record (B1-B3)."""

import csv
import io
import json
from decimal import Decimal
from typing import Any

import pytest

from audit.models import Event
from envforge import tenancy
from orgs.models import Person
from orgs.roles import Role
from tests.product.meters import Metered
from tests.product.test_usage_page import metered, month_of_use, times
from tests.product.visitors import anonymous, signed_in
from tests.product.world import World
from workspaces.models import Workspace
from workspaces.selectors.usage import usage

__all__ = ["metered", "times"]  # fixtures


def export(world: World, who: Person, **given: str) -> Any:
    return signed_in(who).post(
        f"/o/{world.acme.slug}/usage/export", {"form": "csv", "month": "2026-11", **given}
    )


def body(answer: Any) -> str:
    assert answer.status_code == 200, answer.content
    content = b"".join(answer.streaming_content).decode()
    answer.close()
    return content


def table(answer: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(body(answer))))


def exported(world: World) -> list[dict[str, Any]]:
    with tenancy.enter(world.acme.id):
        return [dict(one.facts) for one in Event.objects.filter(kind="usage.exported").order_by("at", "id")]


def test_b2_the_file_sums_to_what_the_page_says(world: World, metered: Metered) -> None:
    month_of_use(metered)
    answer = export(world, world.alice)
    assert 'filename="' in answer["Content-Disposition"]
    assert "-usage-2026-11-" in answer["Content-Disposition"]
    rows = table(answer)
    seen = usage(actor=world.alice.as_actor(), slug=world.acme.slug)
    assert len(rows) == seen.windows_in_all == 2
    for column, sum_ in (
        ("awake_s", seen.part.seconds),
        ("disputed_s", seen.part.disputed_s),
        ("charged_s", seen.part.charged_s),
    ):
        assert sum(int(row[column]) for row in rows) == sum_
    assert seen.cost is not None
    assert sum(Decimal(row["cost"]) for row in rows) == seen.cost.exact
    assert {row["currency"] for row in rows} == {"EUR"}
    assert [(row["workspace_name"], row["size"], row["cause"], row["end_cause"]) for row in rows] == [
        ("search", "medium", "test", "silent"),
        ("checkout", "small", "dev_link", "idle"),
    ]
    assert (rows[1]["from"], rows[1]["until"]) == (
        "2026-11-15T23:00:00.000000Z",
        "2026-11-16T01:00:00.000000Z",
    )
    assert exported(world) == [{"form": "csv", "month": "2026-11", "windows": 2}]


def test_for_programs_it_is_a_receipt_a_line(world: World, metered: Metered) -> None:
    month_of_use(metered)
    metered.wake(metered.workspace("open"))
    metered.times.pass_(seconds=90)
    newest, *others = [
        json.loads(line) for line in body(export(world, world.alice, form="jsonl")).splitlines()
    ]
    assert (newest["awake_s"], newest["until"], newest["end_cause"], newest["wake"]) == (90, None, None, 1)
    assert len(others) == 2


def test_of_one_workspace_and_of_another_month(world: World, metered: Metered) -> None:
    month_of_use(metered)
    [one] = [row for row in table(export(world, world.alice)) if row["workspace_name"] == "search"]
    assert table(export(world, world.alice, workspace=one["workspace"])) == [one]
    assert table(export(world, world.alice, month="2026-10")) == []


def test_b3_money_is_for_those_who_see_billing(world: World, metered: Metered) -> None:
    month_of_use(metered)
    for who, sees in ((world.alice, True), (world.bill, True), (world.bob, False), (world.vera, False)):
        header = body(export(world, who)).splitlines()[0]
        assert ("cost" in header) == sees, who.name


def test_a_member_gets_what_is_theirs_to_see_and_strangers_nothing(world: World, metered: Metered) -> None:
    month_of_use(metered)
    nora = world.member("Nora", Role.VIEWER)
    assert len(table(export(world, nora))) == 2
    assert export(world, world.mallory).status_code == 404
    assert anonymous().post(f"/o/{world.acme.slug}/usage/export", {"form": "csv"}).status_code in (302, 303)


@pytest.mark.parametrize(("given", "field"), [({"month": "soon"}, "month"), ({"form": "pdf"}, "form")])
def test_what_cannot_be_exported_says_why(
    world: World, metered: Metered, given: dict[str, str], field: str
) -> None:
    answer = export(world, world.alice, **given)
    assert answer.status_code == 422
    assert exported(world) == []


def test_names_are_text_to_a_spreadsheet(world: World, metered: Metered) -> None:
    metered.awake(metered.workspace("a-branch"), minutes=1)
    with tenancy.enter(world.acme.id):
        Workspace.objects.update(branch="=HYPERLINK(1)")
    [row] = table(export(world, world.alice))
    assert row["workspace_name"] == "'=HYPERLINK(1)"
