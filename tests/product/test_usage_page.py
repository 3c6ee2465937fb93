"""The Usage page: who sees which figures, and at what cost (B1-B3, W8)."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.models import Event
from envforge import tenancy
from envforge.price_forms import PriceTable, price_table
from hosts.models import Size
from tests.product.meters import Metered, Times, utc
from tests.product.visitors import anonymous, signed_in
from tests.product.world import World
from workspaces.models import Cap, CapMode, WakeCause
from workspaces.operations.caps import set_cap

PRICES = price_table(
    "EUR; 2026-01-01 small=0.08 medium=0.16 large=0.32; 2026-11-16 small=0.10 medium=0.20 large=0.40"
)


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Times:
    times = Times(utc(2026, 11, 10, 9))
    monkeypatch.setattr(timezone, "now", times.now)
    monkeypatch.setattr(django_settings, "PRICES", PRICES)
    return times


@pytest.fixture
def metered(world: World, times: Times) -> Metered:
    return Metered(world, times)


def at(world: World, query: str = "") -> str:
    return f"/o/{world.acme.slug}/usage{query}"


def words_of(answer: Any) -> str:
    """The page as its reader has it."""
    assert answer.status_code == 200, answer
    return " ".join(re.sub(r"<[^>]+>", " ", answer.text).split()).replace(" ,", ",").replace(" .", ".")


def month_of_use(metered: Metered) -> None:
    """Two workspaces in November: 2 h small over the change of prices, 90 min medium of which 30 are disputed."""
    times = metered.times
    one, two = metered.workspace("checkout"), metered.workspace("search")
    times.at = utc(2026, 11, 15, 23)
    metered.wake(one, WakeCause.DEV_LINK)
    times.pass_(hours=2)
    metered.sleep(one)
    times.at = utc(2026, 11, 16, 9)
    metered.wake(two, WakeCause.TEST, Size.MEDIUM)
    times.pass_(minutes=90)
    metered.sleep(two, "silent", disputed_s=1800)
    times.at = utc(2026, 11, 16, 12)


def test_an_empty_organization_is_told_what_belongs_here(world: World, times: Times) -> None:
    answer = signed_in(world.alice).get(at(world))
    said = words_of(answer)
    assert "Nothing was awake in November 2026" in said
    assert "Wake a workspace to begin." in said
    assert "There is none." in said
    assert answer.text.count('aria-current="page"') == 1
    assert "<svg" not in answer.text


def test_b2_the_month_its_days_its_receipts_and_why(world: World, metered: Metered) -> None:
    month_of_use(metered)
    answer = signed_in(world.alice).get(at(world))
    said = words_of(answer)
    # 1 h at 0.08, 1 h at 0.10, and of the medium one only what is not disputed, at 0.20.
    assert "3 h 30 min awake in November 2026, 0.38 EUR" in said
    assert "2 wakes of 2 workspaces; 30 min of it disputed and not charged." in said
    assert "Mon 16 Nov 2.5 1.0 1.5 2 0.30 EUR" in said
    assert "Sun 15 Nov 1.0 1.0 1 0.08 EUR" in said
    # The last day with any use, with its windows and causes.
    assert "Who was awake on Monday, 16 November, and why" in said
    assert (
        "search in Scheduler, 09:00 to 10:30, woken by test; slept because its VM was not heard of; 30 min disputed, not charged."
        in said
    )
    assert (
        "checkout in Scheduler, 15 Nov 23:00 to 01:00, woken by dev link; slept because nobody used it."
        in said
    )
    assert "checkout Scheduler 2.0 2.0 1 0.18 EUR" in said
    assert "search Scheduler 1.5 1.5 1 30 min 0.20 EUR" in said
    assert "All workspaces 3.5 2 30 min 0.38 EUR" in said
    assert "1 Jan 2026 0.08 EUR 0.16 EUR 0.32 EUR 16 Nov 2026 0.10 EUR 0.20 EUR 0.40 EUR" in said
    assert "checkout awake from 23:00 until 01:00, by dev link" in said
    assert answer.text.count('<rect class="bar') == 2 + 2
    assert answer.text.count('<rect class="disputed"') == 1


def test_b2_one_workspaces_receipt_has_every_wake_of_the_month(world: World, metered: Metered) -> None:
    month_of_use(metered)
    workspace = metered.workspace("checkout")
    said = words_of(signed_in(world.alice).get(at(world, f"?month=2026-11&workspace={workspace.id}")))
    assert "2 h awake in November 2026, 0.18 EUR" in said
    assert "Every wake, and why" in said
    assert "15 Nov 23:00 to 16 Nov 01:00, woken by dev link" in said
    assert "search" not in said.partition("Caps this month")[0]


def test_a_month_before_and_after(world: World, metered: Metered, times: Times) -> None:
    times.at = utc(2026, 11, 30, 23)
    metered.awake(metered.workspace(), hours=2)
    alice = signed_in(world.alice)
    december = alice.get(at(world))
    assert "1 h awake in December 2026" in words_of(december)
    assert 'href="?month=2026-11" rel="prev"' in december.text
    assert 'rel="next"' not in december.text
    november = alice.get(at(world, "?month=2026-11"))
    assert "1 h awake in November 2026" in words_of(november)
    assert 'href="?month=2026-12" rel="next"' in november.text
    assert alice.get(at(world, "?month=2026-13")).status_code == 422
    for beyond in ("month=9999-12", "month=0001-01", "day=9999-12-31", "day=0001-01-01"):
        assert alice.get(at(world, f"?{beyond}")).status_code == 422
    assert alice.get(at(world, "?day=yesterday")).status_code == 422
    assert alice.get(at(world, "?before=zzz")).status_code == 422


@pytest.mark.parametrize(("who", "sees"), [("alice", True), ("bill", True), ("bob", False), ("vera", False)])
def test_b3_money_is_for_those_who_see_billing(world: World, metered: Metered, who: str, sees: bool) -> None:
    month_of_use(metered)
    answer = signed_in(getattr(world, who)).get(at(world))
    said = words_of(answer)
    # Seconds and sizes are everybody's.
    assert "3 h 30 min awake in November 2026" in said
    assert "search Scheduler 1.5 1.5 1 30 min" in said
    assert ("EUR" in answer.text) is sees
    assert ("Money is for those who see billing." in said) is not sees


def test_without_a_price_table_nobody_sees_money(
    world: World, metered: Metered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(django_settings, "PRICES", PriceTable())
    month_of_use(metered)
    said = words_of(signed_in(world.alice).get(at(world)))
    assert "3 h 30 min awake in November 2026 Month before" in said
    assert not re.search("Cost|Prices|EUR|Money", said)


def test_strangers_find_nothing(world: World, metered: Metered, times: Times) -> None:
    month_of_use(metered)
    assert signed_in(world.mallory).get(at(world)).status_code == 404
    assert anonymous().get(at(world)).status_code == 303
    elsewhere = Metered(World(), times).workspace()
    assert signed_in(world.alice).get(at(world, f"?workspace={elsewhere.id}")).status_code == 404


def test_w4_no_product_surface_names_the_cloud(world: World, metered: Metered) -> None:
    month_of_use(metered)
    page = signed_in(world.alice).get(at(world)).text
    assert not re.search(r"\bi-[0-9a-f]{8}|ec2|10\.\d+\.\d+\.\d+|amazon", page, re.IGNORECASE)


def test_the_page_asks_the_same_number_of_queries_whatever_there_is(world: World, metered: Metered) -> None:
    month_of_use(metered)
    set_cap(actor=world.alice.as_actor(), org_id=world.acme.id, mode=CapMode.WARN, hours=100)
    browser = signed_in(world.alice)

    def queries() -> int:
        browser.get(at(world))
        with CaptureQueriesContext(
            connection,
        ) as asked:
            assert browser.get(at(world)).status_code == 200
        return len(asked)

    few = queries()
    for number in range(8):
        workspace = metered.workspace(f"more-{number}")
        metered.awake(workspace, minutes=3)
        metered.awake(workspace, minutes=3)
        set_cap(
            actor=world.alice.as_actor(),
            org_id=world.acme.id,
            mode=CapMode.STOP,
            hours=9,
            workspace_id=workspace.id,
        )
    assert queries() == few


def test_b3_a_cap_names_its_unit_scope_and_period(world: World, metered: Metered) -> None:
    month_of_use(metered)
    workspace = metered.workspace("checkout")
    browser = signed_in(world.bill)
    assert browser.post(at(world), {"scope": "", "mode": "warn", "hours": "4"}).status_code == 303
    form = {"scope": str(workspace.id), "mode": "stop", "hours": "2"}
    assert browser.post(at(world), form).status_code == 303
    said = words_of(browser.get(at(world)))
    assert (
        "All workspaces together 3.0 of 4 awake hours used in November, 75 %; set by Bill just now." in said
    )
    assert "checkout 2.0 of 2 awake hours used in November, 100 %; set by Bill just now." in said
    assert "Nothing that it counts can wake before 1 December, unless it is raised." in said
    with tenancy.enter(world.acme.id):
        assert Event.objects.filter(kind="cap.changed").count() == 2
    # And taken away again.
    assert browser.post(at(world), {"scope": "", "mode": "none", "hours": ""}).status_code == 303
    with tenancy.enter(world.acme.id):
        assert set(Cap.objects.values_list("mode", flat=True)) == {"none", "stop"}


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"mode": "warn", "hours": ""}, "Use a whole number from 1 to 100,000."),
        ({"mode": "warn", "hours": "4.5"}, "Use a whole number of hours."),
        ({"mode": "sometimes", "hours": "4"}, "Choose"),
        ({"mode": "warn", "hours": "4", "scope": "x"}, "Choose one of the list."),
    ],
)
def test_a_cap_that_cannot_be_set_says_why_and_keeps_what_was_typed(
    world: World, times: Times, form: dict[str, str], says: str
) -> None:
    answer = signed_in(world.alice).post(at(world), form)
    assert answer.status_code == 422
    assert says in answer.text
    if form["hours"]:
        assert f'value="{form["hours"]}"' in answer.text


def test_who_may_not_set_caps_has_no_form(world: World, times: Times) -> None:
    answer = signed_in(world.bob).get(at(world))
    assert "Setting caps is not yours to do. This takes the role owner, admin or billing." in words_of(answer)
    assert '<form class="card tight"' not in answer.text
    assert signed_in(world.bob).post(at(world), {"mode": "warn", "hours": "4"}).status_code == 403


def test_an_awake_one_counts_until_now(world: World, metered: Metered, times: Times) -> None:
    workspace = metered.workspace()
    metered.wake(workspace)
    times.pass_(minutes=37)
    said = words_of(signed_in(world.vera).get(at(world)))
    assert "37 min awake in November 2026" in said
    assert "awake since 09:00, woken by console." in said
    times.at += timedelta(minutes=3)
    assert "40 min awake" in words_of(signed_in(world.vera).get(at(world)))
