"""Idle sleep: what is activity and what is not, and when a runtime sleeps (W6, W7, DESIGN 7.5)."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from audit.models import Event
from envforge import tenancy
from envforge.errors import Conflict, Invalid, NotAllowed, NotVisible
from orgs.policy import Action
from tests.product.meters import Metered, Times, utc
from tests.product.world import World
from workspaces import activity, idle, lookups
from workspaces.activity import Use
from workspaces.models import CommandRun, JobLease, Power, Runtime, Wake, Workspace
from workspaces.operations.leases import hold_awake, release_lease

TIMEOUT = timedelta(minutes=30)


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Times:
    times = Times(utc(2026, 11, 10, 9))
    monkeypatch.setattr(timezone, "now", times.now)
    return times


@pytest.fixture
def metered(world: World, times: Times) -> Metered:
    return Metered(world, times)


@pytest.fixture
def awake(metered: Metered) -> Workspace:
    workspace = metered.workspace()
    metered.wake(workspace)
    return workspace


def sleep_at(metered: Metered, workspace: Workspace) -> datetime | None:
    return metered.runtime(workspace).sleep_at


def request(metered: Metered, workspace: Workspace, kind: Use = Use.DEV_LINK) -> bool:
    return activity.note_request(metered.org_id, workspace.id, kind, timezone.now())


def is_asleep(metered: Metered, workspace: Workspace) -> bool:
    """After a sweep, and what it hands over."""
    if (metered.org_id, metered.runtime(workspace).id) in lookups.runtimes_idle(timezone.now(), 10_000):
        idle.rest(metered.org_id)
    return metered.runtime(workspace).wanted == Power.ASLEEP


def hold(metered: Metered, workspace: Workspace, name: str = "nightly", **units: float) -> datetime:
    held = hold_awake(
        actor=metered.world.alice.as_actor(),
        org_id=metered.org_id,
        workspace_id=workspace.id,
        name=name,
        for_s=int(timedelta(**units).total_seconds()),
    )
    return held.until


def kinds(metered: Metered, kind: str) -> list[Event]:
    with tenancy.enter(metered.org_id):
        return list(Event.objects.filter(kind=kind).order_by("at", "id"))


def test_w7_the_coming_sleep_is_known_from_the_beginning(
    metered: Metered, awake: Workspace, times: Times
) -> None:
    assert sleep_at(metered, awake) == times.at + TIMEOUT
    times.pass_(minutes=29, seconds=59)
    assert not is_asleep(metered, awake)
    times.pass_(seconds=1)
    assert is_asleep(metered, awake)
    [event] = kinds(metered, "runtime.sleep_requested")
    assert (event.facts, event.actor_kind) == ({"cause": "idle"}, "system")
    # And nothing more is awaited.
    assert sleep_at(metered, awake) is None


def test_w7_the_time_it_takes_to_come_up_is_no_idleness(
    metered: Metered, awake: Workspace, times: Times
) -> None:
    def observed(what: str) -> None:
        with tenancy.enter(metered.org_id):
            Runtime.objects.filter(workspace=awake).update(observed=what)

    observed("starting")
    times.pass_(minutes=31)
    assert not is_asleep(metered, awake)
    assert sleep_at(metered, awake) == times.at + TIMEOUT
    observed("awake")
    times.pass_(minutes=31)
    assert is_asleep(metered, awake)


def test_w7_what_people_do_moves_it(metered: Metered, awake: Workspace, times: Times) -> None:
    used = times.pass_(minutes=20)
    assert request(metered, awake)
    assert sleep_at(metered, awake) == used + TIMEOUT
    assert metered.runtime(awake).active_cause == "dev_link"
    times.pass_(minutes=29)
    assert not is_asleep(metered, awake)
    times.pass_(minutes=1)
    assert is_asleep(metered, awake)


def test_w7_rows_are_written_at_most_every_15_seconds(
    metered: Metered, awake: Workspace, times: Times
) -> None:
    written = sum(request(metered, awake) for _ in range(60) if times.pass_(seconds=1))
    assert written == 4
    assert sleep_at(metered, awake) == times.at + TIMEOUT


def test_w7_background_requests_extend_by_five_minutes_in_total(
    metered: Metered, awake: Workspace, times: Times
) -> None:
    began = times.at
    for _ in range(40):
        times.pass_(minutes=1)
        request(metered, awake, Use.BACKGROUND)
        if is_asleep(metered, awake):
            break
    assert times.at == began + TIMEOUT + timedelta(seconds=activity.BACKGROUND_EXTENDS_S)


def test_w7_a_late_poll_never_takes_back_what_a_person_gave(
    metered: Metered, awake: Workspace, times: Times
) -> None:
    times.pass_(minutes=10)
    request(metered, awake)
    given = sleep_at(metered, awake)
    assert (
        activity.note_request(metered.org_id, awake.id, Use.BACKGROUND, times.at - timedelta(minutes=5))
        is False
    )
    assert sleep_at(metered, awake) == given


def test_what_comes_late_wakes_nothing(metered: Metered, awake: Workspace, times: Times) -> None:
    metered.sleep(awake)
    times.pass_(minutes=1)
    assert not request(metered, awake)
    assert not request(metered, awake, Use.BACKGROUND)
    assert sleep_at(metered, awake) is None


def run(metered: Metered, workspace: Workspace, **fields: object) -> CommandRun:
    with tenancy.enter(metered.org_id):
        now = timezone.now()
        stored = {"service": "web", "type": "test", "name": "unit", "asked_by": "Bob", "asker_kind": "user"}
        return CommandRun.objects.create(
            **{**stored, "workspace": workspace, "asker_id": "1", "asked_at": now, "sent_at": now, **fields}
        )


def test_w7_it_never_sleeps_mid_command(metered: Metered, awake: Workspace, times: Times) -> None:
    times.pass_(minutes=25)
    command = run(metered, awake, timeout_s=3600)
    times.pass_(minutes=5)
    assert not is_asleep(metered, awake)
    assert sleep_at(metered, awake) == times.at + TIMEOUT
    times.pass_(minutes=30)
    assert not is_asleep(metered, awake)
    with tenancy.enter(metered.org_id):
        CommandRun.objects.filter(id=command.id).update(finished_at=times.at, exit_status=0, duration_ms=1)
    times.pass_(minutes=30)
    assert is_asleep(metered, awake)


def test_a_command_whose_end_got_lost_does_not_keep_it_awake_for_ever(
    metered: Metered, awake: Workspace, times: Times
) -> None:
    run(metered, awake, timeout_s=600)
    times.pass_(minutes=30)
    assert is_asleep(metered, awake)


def test_w7_a_job_lease_is_activity_for_as_long_as_it_lasts(
    metered: Metered, awake: Workspace, times: Times
) -> None:
    until = hold(metered, awake, hours=2)
    assert sleep_at(metered, awake) == until + TIMEOUT
    times.pass_(hours=2, minutes=29)
    assert not is_asleep(metered, awake)
    times.pass_(minutes=1)
    assert is_asleep(metered, awake)
    [event] = kinds(metered, "runtime.extended")
    assert event.facts["cause"] == "job_lease"


def test_w7_a_job_that_is_released_counts_until_then(
    metered: Metered, awake: Workspace, times: Times
) -> None:
    hold(metered, awake, hours=10)
    with tenancy.enter(metered.org_id):
        lease = JobLease.objects.get()
    times.pass_(hours=1)
    alice = metered.world.alice.as_actor()
    for _ in range(2):
        release_lease(actor=alice, org_id=metered.org_id, workspace_id=awake.id, lease_id=lease.id)
    assert sleep_at(metered, awake) == times.at + TIMEOUT
    assert [event.facts for event in kinds(metered, "runtime.lease_ended")] == [{"job": "nightly"}]


def test_w6_a_job_wakes_a_sleeping_runtime_and_is_named_as_the_cause(metered: Metered) -> None:
    workspace = metered.workspace()
    until = hold(metered, workspace, minutes=10)
    assert sleep_at(metered, workspace) == until + TIMEOUT
    with tenancy.enter(metered.org_id):
        wake = Wake.objects.get()
    assert (wake.cause, wake.detail) == ("job_lease", "nightly")


def test_a_job_held_again_is_extended_never_shortened(
    metered: Metered, awake: Workspace, times: Times
) -> None:
    first = hold(metered, awake, hours=2)
    assert hold(metered, awake, hours=1) == first
    times.pass_(hours=1)
    assert hold(metered, awake, hours=2) == first + timedelta(hours=1)
    assert len(kinds(metered, "runtime.extended")) == 2
    with tenancy.enter(metered.org_id):
        assert JobLease.objects.count() == 1
    # Its name is free again once it ran out.
    times.pass_(hours=3)
    hold(metered, awake, hours=1)
    with tenancy.enter(metered.org_id):
        assert JobLease.objects.count() == 2


def test_a_jobs_name_belongs_to_whoever_holds_it(world: World, metered: Metered, awake: Workspace) -> None:
    hold(metered, awake, hours=1)
    with pytest.raises(Conflict, match="holds a job named nightly here"):
        hold_awake(
            actor=world.bob.as_actor(), org_id=metered.org_id, workspace_id=awake.id, name="nightly", for_s=60
        )


@pytest.mark.parametrize(
    ("name", "for_s", "field"), [("", 60, "name"), ("x", 59, "for_s"), ("x", 43201, "for_s")]
)
def test_a_job_says_its_name_and_a_time_of_at_most_twelve_hours(
    metered: Metered, awake: Workspace, name: str, for_s: int, field: str
) -> None:
    alice = metered.world.alice.as_actor()
    with pytest.raises(Invalid) as refused:
        hold_awake(actor=alice, org_id=metered.org_id, workspace_id=awake.id, name=name, for_s=for_s)
    assert list(refused.value.fields) == [field]


def test_who_may_hold_it_awake(world: World, metered: Metered, awake: Workspace) -> None:
    def asks(actor: object) -> None:
        hold_awake(actor=actor, org_id=metered.org_id, workspace_id=awake.id, name="x", for_s=60)  # type: ignore[arg-type]

    asks(world.bob.as_actor())
    with pytest.raises(NotAllowed) as refused:
        asks(world.vera.as_actor())
    assert refused.value.denial.action == Action.RUNTIME_WAKE
    for outside in (world.bill, world.mallory):
        with pytest.raises(NotVisible):
            asks(outside.as_actor())


def test_the_sweep_hands_over_by_organization_and_looks_again(metered: Metered, times: Times) -> None:
    both = [metered.workspace("one"), metered.workspace("two")]
    for workspace in both:
        metered.wake(workspace)
    times.pass_(minutes=30)
    assert idle.sweep() >= 2
    # Somebody comes between the sweep and the worker.
    request(metered, both[0])
    assert idle.rest(metered.org_id) == 1
    assert not is_asleep(metered, both[0])
    assert is_asleep(metered, both[1])
    assert idle.rest(metered.org_id) == 0
