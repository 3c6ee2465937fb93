"""Usage caps: read before the wake, warned at 80 %, and at "stop" asleep at the next idle minute (W8, B3)."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from audit.models import Event
from envforge import tenancy
from envforge.errors import Invalid, NotAllowed, NotVisible
from notices.letters import write
from notices.models import Email
from orgs.operations import grant_role
from orgs.roles import Role, Scope
from tests.product.meters import Metered, Times, utc
from tests.product.test_idle import hold, request, run
from tests.product.world import World
from workspaces import activity, idle, lookups, meter
from workspaces.models import Cap, CapMode, Power, Workspace
from workspaces.operations.caps import set_cap


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Times:
    times = Times(utc(2026, 11, 10, 9))
    monkeypatch.setattr(timezone, "now", times.now)
    return times


@pytest.fixture
def metered(world: World, times: Times) -> Metered:
    return Metered(world, times)


def cap(metered: Metered, mode: CapMode, hours: int | None, workspace: Workspace | None = None) -> None:
    set_cap(
        actor=metered.world.bill.as_actor(),
        org_id=metered.org_id,
        mode=mode,
        hours=hours,
        workspace_id=workspace.id if workspace else None,
    )


def look(metered: Metered) -> int:
    """A sweep over this organization's caps, and what it hands over."""
    due = lookups.caps_due(timezone.now(), 10_000)
    return sum(idle.look_at_cap(*pair) for pair in due if pair[0] == metered.org_id)


def due_at(metered: Metered) -> Any:
    with tenancy.enter(metered.org_id):
        return Cap.objects.get().due_at


def told(metered: Metered) -> list[tuple[str, dict[str, Any]]]:
    with tenancy.enter(metered.org_id):
        events = Event.objects.filter(kind__in=("cap.neared", "cap.reached")).order_by("at", "id")
        return [(event.kind, event.facts) for event in events]


def use(metered: Metered, workspace: Workspace, **units: Any) -> None:
    """Used for that long: nobody lets it fall asleep meanwhile."""
    metered.times.pass_(**units)
    request(metered, workspace)


def test_w8_at_stop_nothing_wakes_and_people_read_why(metered: Metered, times: Times) -> None:
    workspace, other = metered.workspace("one"), metered.workspace("two")
    cap(metered, CapMode.STOP, 2)
    metered.awake(workspace, hours=2)
    for capped in (workspace, other):
        with pytest.raises(meter.CapReached) as refused:
            metered.wake(capped)
        said = refused.value.detail
        assert "The usage cap of this organization is 2 awake hours in a calendar month (UTC)" in said
        assert "November 2026 has used them" in said
        assert "It can wake again on 1 December" in said
    assert refused.value.status == 409
    # Neither does a job keep awake, nor a shell.
    with pytest.raises(meter.CapReached):
        hold(metered, other, hours=1)
    # The next month begins at none; raising the cap is as good.
    cap(metered, CapMode.STOP, 3)
    metered.awake(workspace, minutes=30)
    times.at = utc(2026, 12, 1)
    metered.wake(workspace)


def test_w8_a_workspaces_cap_counts_its_own_hours_alone(metered: Metered) -> None:
    workspace, other = metered.workspace("one"), metered.workspace("two")
    cap(metered, CapMode.STOP, 1, workspace)
    metered.awake(other, hours=5)
    metered.awake(workspace, hours=1)
    with pytest.raises(meter.CapReached, match="The usage cap of the workspace “one” is 1 awake hours"):
        metered.wake(workspace)
    metered.wake(other)
    assert [window.cap_mode for window in metered.windows(workspace)] == ["stop"]
    assert {window.cap_mode for window in metered.windows(other)} == {"none"}


def test_w8_h6_disputed_time_does_not_count(metered: Metered, times: Times) -> None:
    workspace = metered.workspace()
    cap(metered, CapMode.STOP, 1)
    metered.wake(workspace)
    times.pass_(hours=1, minutes=30)
    metered.sleep(workspace, "silent", disputed_s=31 * 60)
    metered.wake(workspace)


def test_w8_a_warning_comes_once_at_80_percent_and_stops_nothing(metered: Metered, times: Times) -> None:
    workspace = metered.workspace()
    cap(metered, CapMode.WARN, 10)
    metered.wake(workspace)
    assert look(metered) == 0
    # The sweep knows when it can be at the earliest, and asks for nothing until then.
    assert due_at(metered) == times.at + timedelta(hours=8)
    use(metered, workspace, hours=7, minutes=59)
    look(metered)
    assert told(metered) == []
    use(metered, workspace, minutes=1)
    look(metered)
    assert told(metered) == [("cap.neared", {"mode": "warn", "hours": 10, "percent": 80})]
    use(metered, workspace, hours=2)
    for _ in range(3):
        look(metered)
    assert [kind for kind, _ in told(metered)] == ["cap.neared", "cap.reached"]
    assert metered.runtime(workspace).wanted == Power.AWAKE
    assert due_at(metered) == utc(2026, 12, 1)
    metered.sleep(workspace)
    metered.wake(workspace)


def test_w8_those_who_look_after_it_are_told_by_mail_once(
    world: World, metered: Metered, times: Times
) -> None:
    assert world.adam
    assert world.bill
    workspace = metered.workspace()
    of_workspace: Any = {"scope": Scope.WORKSPACE, "scope_id": workspace.id}
    grant_role(
        actor=world.alice.as_actor(),
        org_id=metered.org_id,
        person_id=world.bob.id,
        role=Role.OPERATOR,
        **of_workspace,
    )
    cap(metered, CapMode.STOP, 10, workspace)
    cap(metered, CapMode.WARN, 20)
    metered.wake(workspace)
    use(metered, workspace, hours=8)
    for _ in range(3):
        look(metered)
    assert mailed(metered) == {(name, "cap_neared") for name in ("Alice", "Adam", "Bill", "Bob")}
    # All of it, and of the organization's cap 80 % at most: of that only those of the organization hear.
    use(metered, workspace, hours=9)
    for _ in range(3):
        look(metered)
    told_now = mailed(metered)
    assert {name for name, kind in told_now if kind == "cap_reached"} == {"Alice", "Adam", "Bill", "Bob"}
    with tenancy.enter(metered.org_id):
        rows = list(Email.objects.order_by("id"))
        assert len(rows) == 4 + 4 + 3
        letter = write(next(row for row in rows if row.kind == "cap_reached"))
    assert letter.subject == "The workspace “main” used all 10 awake hours for November 2026"
    assert "nothing wakes until the month ends or the cap is raised" in letter.text
    assert f"/o/{world.acme.slug}/usage" in letter.text


def mailed(metered: Metered) -> set[tuple[str, str]]:
    with tenancy.enter(metered.org_id):
        return set(Email.objects.values_list("to_person__name", "kind"))


def test_two_awake_bring_the_next_look_nearer(metered: Metered, times: Times) -> None:
    cap(metered, CapMode.WARN, 10)
    one, two = metered.workspace("one"), metered.workspace("two")
    metered.wake(one)
    look(metered)
    times.pass_(hours=2)
    metered.wake(two)
    assert due_at(metered) == times.at
    look(metered)
    assert due_at(metered) == times.at + timedelta(hours=3)
    for workspace in (one, two):
        metered.sleep(workspace)
    times.pass_(hours=3)
    look(metered)
    # Nothing is awake: nothing is to be looked at.
    assert due_at(metered) is None


def test_w8_at_stop_it_sleeps_at_the_next_idle_minute(metered: Metered, times: Times) -> None:
    workspace = metered.workspace()
    cap(metered, CapMode.STOP, 1)
    metered.wake(workspace)
    use(metered, workspace, hours=1)
    assert look(metered) == 0
    times.pass_(seconds=59)
    # A page that polls is not somebody.
    activity.note_request(metered.org_id, workspace.id, activity.Use.BACKGROUND, times.at)
    assert look(metered) == 0
    times.pass_(seconds=1)
    assert look(metered) == 1
    assert metered.runtime(workspace).wanted == Power.ASLEEP
    assert metered.runtime(workspace).wanted_cause == "cap"
    assert [kind for kind, _ in told(metered)] == ["cap.neared", "cap.reached"]


@pytest.mark.parametrize("need", ["command", "job"])
def test_w8_never_mid_command_nor_under_a_lease(metered: Metered, times: Times, need: str) -> None:
    workspace = metered.workspace()
    cap(metered, CapMode.STOP, 1)
    metered.wake(workspace)
    times.pass_(minutes=50)
    if need == "job":
        hold(metered, workspace, minutes=20)
    else:
        run(metered, workspace, timeout_s=15 * 60)
    times.pass_(minutes=15)
    assert look(metered) == 0
    times.pass_(minutes=5)
    assert look(metered) == 1


def test_b3_who_sets_caps(world: World, metered: Metered) -> None:
    def sets(person: Any) -> None:
        set_cap(actor=person.as_actor(), org_id=metered.org_id, mode=CapMode.WARN, hours=5)

    for may in (world.alice, world.adam, world.bill):
        sets(may)
    for not_these in (world.bob, world.vera):
        with pytest.raises(NotAllowed):
            sets(not_these)
    with pytest.raises(NotVisible):
        sets(world.mallory)
    with tenancy.enter(metered.org_id):
        # The same again is no change.
        assert Event.objects.filter(kind="cap.changed").count() == 1


def test_b3_a_cap_of_another_organizations_workspace_is_not_there(metered: Metered, times: Times) -> None:
    elsewhere = Metered(World(), times).workspace()
    with pytest.raises(NotVisible):
        cap(metered, CapMode.WARN, 5, elsewhere)


@pytest.mark.parametrize(
    ("mode", "hours"), [(CapMode.NONE, 5), (CapMode.WARN, None), (CapMode.STOP, 0), (CapMode.STOP, 100_001)]
)
def test_a_cap_needs_its_hours(metered: Metered, mode: CapMode, hours: int | None) -> None:
    with pytest.raises(Invalid) as refused:
        cap(metered, mode, hours)
    assert list(refused.value.fields) == ["hours"]


def test_a_cap_that_is_taken_away_lets_wake(metered: Metered) -> None:
    workspace = metered.workspace()
    cap(metered, CapMode.STOP, 1)
    metered.awake(workspace, hours=1)
    cap(metered, CapMode.NONE, None)
    metered.wake(workspace)
    assert look(metered) == 0
