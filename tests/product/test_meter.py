"""The meter: windows, months, and the recomputation from the audit (B1, B2)."""

import re
from datetime import datetime, timedelta
from io import StringIO
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envforge import tenancy
from envforge.actor import SYSTEM
from tests.product.meters import Metered, Times, utc
from tests.product.world import World
from workspaces import lookups, meter, sums
from workspaces.awake import awake_within
from workspaces.models import Wake, WakeCause
from workspaces.months import Month
from workspaces.recompute import Comparison, compare
from workspaces.wants import want_asleep

NOVEMBER, DECEMBER = Month.named("2026-11"), Month.named("2026-12")


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Times:
    times = Times(utc(2026, 11, 10, 9))
    monkeypatch.setattr(timezone, "now", times.now)
    return times


@pytest.fixture
def metered(world: World, times: Times) -> Metered:
    return Metered(world, times)


def charged(metered: Metered, month: Month) -> int:
    with tenancy.enter(metered.org_id):
        return sums.charged(month.begins, month.ends, now=metered.times.at, workspace_id=None).seconds


def recomputed(metered: Metered) -> Comparison:
    return compare(metered.org_id)


def test_b1_the_meter_runs_only_while_awake(metered: Metered, times: Times) -> None:
    workspace = metered.workspace()
    times.pass_(days=1)
    assert metered.windows(workspace) == []
    window = metered.awake(workspace, hours=2, seconds=1)
    assert window.seconds == 2 * 3600 + 1
    times.pass_(days=1)
    assert charged(metered, NOVEMBER) == 2 * 3600 + 1


def test_opening_and_closing_again_change_nothing(metered: Metered, times: Times) -> None:
    workspace = metered.workspace()
    metered.wake(workspace)
    with tenancy.enter(metered.org_id):
        runtime = metered.runtime(workspace)
        wake = Wake.objects.get(runtime=runtime)
        first = meter.open_window(runtime, wake, times.pass_(minutes=1))
        assert first.opened_at == times.at - timedelta(minutes=1)
        assert meter.close_window(runtime, at=times.pass_(minutes=1), cause="idle")
        assert meter.close_window(runtime, at=times.pass_(minutes=1), cause="idle") is None
        with pytest.raises(meter.MeterMisused):
            meter.open_window(runtime, wake, times.at)
    assert [window.seconds for window in metered.windows(workspace)] == [120]


def test_a_window_ends_no_earlier_than_it_began(metered: Metered, times: Times) -> None:
    workspace = metered.workspace()
    metered.wake(workspace)
    with tenancy.enter(metered.org_id):
        closed = meter.close_window(
            metered.runtime(workspace), at=times.at - timedelta(hours=1), cause="host_lost", disputed_s=50
        )
    assert closed
    assert (closed.seconds, closed.disputed_s, closed.closed_at) == (0, 0, closed.opened_at)
    assert recomputed(metered).differences == []


def test_a_window_begins_no_earlier_than_the_last_one_ended(metered: Metered, times: Times) -> None:
    workspace = metered.workspace()
    metered.awake(workspace, hours=1)
    ended = times.at
    metered.wake(workspace)
    metered.sleep(workspace)
    with tenancy.enter(metered.org_id):
        runtime = metered.runtime(workspace)
        wake = Wake.objects.create(
            runtime=runtime, epoch=runtime.epoch + 1, cause="api", asked_by="x", asked_at=ended, size="small"
        )
        # Told late, of a time that another wake was.
        assert meter.open_window(runtime, wake, ended - timedelta(minutes=30)).opened_at == ended
    assert recomputed(metered).differences == []


def test_h6_time_nobody_heard_of_is_counted_apart_and_not_charged(metered: Metered, times: Times) -> None:
    times.at = utc(2026, 11, 30, 23, 50)
    workspace = metered.workspace()
    metered.wake(workspace)
    times.pass_(minutes=20)
    metered.sleep(workspace, "silent", disputed_s=15 * 60)
    assert metered.windows(workspace)[0].end_cause == "silent"
    # Of 20 minutes the last 15 are disputed, and the month ended in the midst of them.
    with tenancy.enter(metered.org_id):
        november, december = (
            sum((row.part for row in sums.by_day(m.begins, m.ends, now=times.at)), sums.Part())
            for m in (NOVEMBER, DECEMBER)
        )
    assert (november, november.charged_s) == (sums.Part(600, 300), 300)
    assert (december, december.charged_s) == (sums.Part(600, 600), 0)
    assert (charged(metered, NOVEMBER), charged(metered, DECEMBER)) == (300, 0)
    assert recomputed(metered).differences == []


def test_b2_a_window_over_a_months_end_counts_in_both_to_the_second(metered: Metered, times: Times) -> None:
    times.at = utc(2026, 11, 30, 23, 59, 57) + timedelta(milliseconds=700)
    workspace = metered.workspace()
    metered.wake(workspace)
    times.pass_(seconds=10)
    metered.sleep(workspace)
    assert metered.windows(workspace)[0].seconds == 10
    assert (charged(metered, NOVEMBER), charged(metered, DECEMBER)) == (3, 7)


def test_b2_an_event_tells_of_each_window_what_the_sums_need(metered: Metered) -> None:
    workspace = metered.workspace()
    metered.awake(workspace, minutes=3)
    found = recomputed(metered)
    assert (found.windows, found.seconds, found.differences) == (1, 180, [])
    assert lookups.organizations_with_meter().count(metered.org_id) == 1


def test_b2_the_recomputation_says_where_the_meter_differs(
    metered: Metered, admin: psycopg.Connection
) -> None:
    workspace = metered.workspace()
    window = metered.awake(workspace, minutes=3)
    told = StringIO()
    call_command("recompute_meter", metered.world.acme.slug, stdout=told)
    assert "1 windows of 1 organizations, 180 s awake: meter and audit agree." in told.getvalue()
    # Somebody changes a receipt behind the product's back.
    admin.execute(
        "UPDATE workspaces_meterwindow SET closed_at = closed_at - interval '1 second', seconds = seconds - 1 WHERE id = %s",
        [window.id],
    )
    admin.commit()
    said = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("recompute_meter", metered.world.acme.slug, stderr=said)
    assert ended.value.code == 1
    assert f"The window {window.id} is small" in said.getvalue()
    assert f"2026-11, workspace {workspace.id}, small: the meter has 179 s" in said.getvalue()
    assert "the audit 180 s (0 s disputed)" in said.getvalue()


def test_b2_a_receipt_that_is_gone_is_missed(metered: Metered, admin: psycopg.Connection) -> None:
    window = metered.awake(metered.workspace(), minutes=3)
    admin.execute("DELETE FROM workspaces_meterwindow WHERE id = %s", [window.id])
    admin.commit()
    assert any("which is not there" in said for said in recomputed(metered).differences)


def test_b2_the_command_looks_at_every_organization(metered: Metered, world: World, times: Times) -> None:
    other = Metered(World(), times)
    metered.awake(metered.workspace(), minutes=3)
    other.awake(other.workspace(), minutes=3)
    said, wrong = StringIO(), StringIO()
    try:
        call_command("recompute_meter", stdout=said, stderr=wrong)
    except SystemExit:
        # Other tests of this database may have left a meter without its events.
        said.write(wrong.getvalue())
    looked_at = re.search(r"([\d,]+) windows of ([\d,]+) organizations, ([\d,]+) s awake", said.getvalue())
    assert looked_at
    assert int(looked_at[2].replace(",", "")) >= 2
    assert str(metered.org_id) not in wrong.getvalue()
    assert str(other.org_id) not in wrong.getvalue()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("wake", "sleep", "lost", "silent", "again")),
        st.integers(0, 1),
        # From within a second to over a month's end.
        st.one_of(st.floats(0, 3), st.floats(0, 4000), st.floats(0, 20 * 86400)),
        st.integers(0, 5000),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, begins=st.integers(0, 40 * 86400))
def test_b2_whatever_happens_windows_never_overlap_and_months_add_up(
    steps: list[tuple[str, int, float, int]], begins: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = Times(utc(2026, 11, 1) + timedelta(seconds=begins))
    monkeypatch.setattr(timezone, "now", times.now)
    metered = Metered(World(), times)
    both = [metered.workspace("one"), metered.workspace("two")]
    for step, which, seconds, unheard in steps:
        times.pass_(seconds=seconds)
        _do(metered, step, both[which], unheard)
    now = times.pass_(seconds=1)
    for workspace in both:
        windows = metered.windows(workspace)
        for before, after in pairwise(windows):
            assert before.closed_at is not None
            assert before.closed_at <= after.opened_at
        whole = sum(_length(one.opened_at, one.closed_at or now) for one in windows)
        with tenancy.enter(metered.org_id):
            months = [sums.by_workspace(m.begins, m.ends, now=now) for m in _months(times)]
            days = [sums.by_day(m.begins, m.ends, now=now) for m in _months(times)]
            parts = [
                sums.part(one, m.begins, m.ends, now=now).seconds for m in _months(times) for one in windows
            ]
            awake = [
                awake_within(m.begins, m.ends, now.replace(microsecond=0), [workspace.id])
                for m in _months(times)
            ]
        assert whole == sum(parts)
        assert whole == sum(r.part.seconds for m in months for r in m if r.workspace_id == workspace.id)
        assert whole == sum(one.seconds for m in awake for one in m.values())
    everything = sum(r.part.seconds for month in months for r in month)
    assert everything == sum(row.part.seconds for month in days for row in month)
    assert all(row.part.seconds <= 2 * 86400 for month in days for row in month)
    assert compare(metered.org_id) == Comparison(
        sum(len(metered.windows(one)) for one in both), everything, []
    )


def _do(metered: Metered, step: str, workspace: Any, unheard: int) -> None:
    match step:
        case "wake":
            if metered.runtime(workspace).wanted == "asleep":
                metered.wake(workspace)
        case "sleep":
            metered.sleep(workspace)
        case "silent":
            metered.sleep(workspace, "silent", disputed_s=unheard)
        case "lost":
            # Closed at the last sign of life, which may lie before the beginning.
            with tenancy.enter(metered.org_id):
                runtime = metered.runtime(workspace)
                at = timezone.now() - timedelta(seconds=unheard)
                meter.close_window(runtime, at=at, cause="host_lost")
            metered.sleep(workspace, "host_lost")
        case "again":
            # Asked to sleep, and woken before it slept.
            with tenancy.enter(metered.org_id):
                runtime = metered.runtime(workspace)
                want_asleep(runtime, actor=SYSTEM, cause="asked")  # type: ignore[arg-type]
            if metered.runtime(workspace).wanted == "asleep":
                metered.wake(workspace, WakeCause.DEV_LINK)


def _length(opened_at: datetime, until: datetime) -> int:
    return int((until.replace(microsecond=0) - opened_at).total_seconds())


def _months(times: Times) -> list[Month]:
    months, last = [NOVEMBER], Month.of(times.at)
    while months[-1] < last:
        months.append(months[-1].next)
    return months
