"""What is declared in a shell keeps a runtime awake: told with every heartbeat, followed once (W7, W8)."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from audit.facts import rfc3339
from audit.models import Event
from envforge import tenancy
from envforge.actor import HostActor
from envforge_protocol.host.reports import Heartbeat
from envforge_protocol.host.runtimes import Activity, Declared
from hosts import hooks
from hosts.models import Host, HostRole
from orgs.models import Person
from projects.operations import create_project
from tests.product.meters import Metered, Times
from tests.product.test_idle import TIMEOUT, awake, metered, sleep_at, times
from tests.product.world import World
from workspaces import activity, idle, lookups
from workspaces.models import CapMode, Certificate, JobLease, Power, ShellSession, Workspace
from workspaces.operations.caps import set_cap
from workspaces.operations.leases import hold_awake, release_lease
from workspaces.operations.workspaces import open_workspace

__all__ = ["awake", "metered", "times"]  # fixtures
Beat = Callable[..., None]


@pytest.fixture
def beat(metered: Metered, times: Times) -> Beat:
    vm = HostActor(id="vm", label="shell host 1", host_id=uuid4(), org_id=metered.org_id, generation=1)

    def tell(*told: tuple[Workspace, Declared | None]) -> None:
        heartbeat = Heartbeat(
            boot_id=uuid4(),
            sequence=1,
            at=times.at,
            activity=tuple(Activity(workspace_id=one.id, shells=1, declared=what) for one, what in told),
            free_memory_mib=1,
            free_disk_mib=1,
        )
        with tenancy.enter(metered.org_id):
            hooks.beaten(vm, heartbeat)

    return tell


def declared(until: datetime, reason: str = "the long import runs") -> Declared:
    return Declared(until=until, reason=reason)


def connected(metered: Metered, workspace: Workspace, person: Person) -> None:
    """Their connection to the shell, of which a VM told."""
    now = timezone.now()
    with tenancy.enter(metered.org_id):
        certificate = Certificate.objects.create(
            workspace=workspace,
            serial=uuid4().int % 2**62,
            holder=person.name,
            holder_kind="user",
            holder_id=str(person.id),
            person_id=person.id,
            issued_at=now,
            expires_at=now,
        )
        vm = Host.objects.create(
            role=HostRole.SHELL,
            number=Host.objects.count() + 1,
            size="small",
            wanted_at=now,
            observed_at=now,
        )
        ShellSession.objects.create(
            workspace=workspace, certificate=certificate, session_id=uuid4(), host=vm, connected_at=now
        )


def leases(metered: Metered) -> list[JobLease]:
    with tenancy.enter(metered.org_id):
        return list(JobLease.objects.filter(holder_kind=JobLease.SHELL).order_by("began_at", "id"))


def events(metered: Metered, kind: str) -> list[Any]:
    with tenancy.enter(metered.org_id):
        return list(Event.objects.filter(kind=kind).order_by("at", "id"))


def sweeps(metered: Metered, workspace: Workspace) -> str:
    if (metered.org_id, metered.runtime(workspace).id) in lookups.runtimes_idle(timezone.now(), 10_000):
        idle.rest(metered.org_id)
    return str(metered.runtime(workspace).wanted)


def test_w7_it_keeps_awake_until_then_and_the_idle_time_after(
    metered: Metered, awake: Workspace, times: Times, beat: Beat
) -> None:
    until = times.at + timedelta(hours=3)
    for _ in range(3):
        beat((awake, declared(until)))
        times.pass_(seconds=10)
    assert sleep_at(metered, awake) == until + TIMEOUT
    [lease] = leases(metered)
    assert (lease.name, lease.held_by, lease.until) == ("the long import runs", "Its shell", until)
    [event] = events(metered, "runtime.extended")
    assert (event.actor_label, event.facts["cause"]) == ("Its shell", "keep_alive")
    # Why stands in the history, too.
    assert (event.facts["job"], event.facts["until"]) == (lease.name, rfc3339(until))
    times.pass_(hours=3)
    assert sweeps(metered, awake) == Power.AWAKE
    times.pass_(minutes=30)
    assert sweeps(metered, awake) == Power.ASLEEP


def test_w7_the_last_word_counts_sooner_or_later(
    metered: Metered, awake: Workspace, times: Times, beat: Beat
) -> None:
    for hours in (3, 1, 2):
        until = times.at + timedelta(hours=hours)
        beat((awake, declared(until)))
        assert sleep_at(metered, awake) == until + TIMEOUT
    assert len([one for one in leases(metered) if one.released_at is None]) == 1


def test_w7_taken_back_the_idle_time_begins(
    metered: Metered, awake: Workspace, times: Times, beat: Beat
) -> None:
    beat((awake, declared(times.at + timedelta(hours=3))))
    times.pass_(hours=1)
    over = Declared(until=datetime.fromtimestamp(0, tz=times.at.tzinfo))
    for _ in range(2):
        beat((awake, over))
    assert sleep_at(metered, awake) == times.at + TIMEOUT
    assert len(events(metered, "runtime.lease_ended")) == 1
    # A VM that knows of no declaration takes none back.
    beat((awake, declared(times.at + timedelta(hours=4))))
    beat((awake, None))
    assert sleep_at(metered, awake) == times.at + timedelta(hours=4) + TIMEOUT


def test_w7_one_that_a_person_ended_stays_so_until_another_is_declared(
    metered: Metered, awake: Workspace, times: Times, beat: Beat
) -> None:
    until = times.at + timedelta(hours=3)
    beat((awake, declared(until)))
    [lease] = leases(metered)
    bob = metered.world.bob.as_actor()
    release_lease(actor=bob, org_id=metered.org_id, workspace_id=awake.id, lease_id=lease.id)
    beat((awake, declared(until)))
    assert sleep_at(metered, awake) == times.at + TIMEOUT
    beat((awake, declared(until + timedelta(minutes=1))))
    assert sleep_at(metered, awake) == until + timedelta(minutes=1) + TIMEOUT


def test_w7_it_wakes_nothing_and_counts_once_it_is_awake(metered: Metered, times: Times, beat: Beat) -> None:
    sleeper = metered.workspace("sleeper")
    until = times.at + timedelta(hours=3)
    beat((sleeper, declared(until)))
    assert (metered.runtime(sleeper).wanted, leases(metered)) == (Power.ASLEEP, [])
    metered.wake(sleeper)
    beat((sleeper, declared(until)))
    assert sleep_at(metered, sleeper) == until + TIMEOUT


def test_w7_nobody_declares_more_than_twelve_hours(
    metered: Metered, awake: Workspace, times: Times, beat: Beat
) -> None:
    """The command refuses it; a file that says so all the same is not believed."""
    before = sleep_at(metered, awake)
    beat((awake, declared(times.at + activity.KEPT_AWAKE_AT_MOST + timedelta(hours=1))))
    assert (sleep_at(metered, awake), leases(metered)) == (before, [])


def test_w8_a_cap_that_stops_is_stronger(
    metered: Metered, awake: Workspace, times: Times, beat: Beat
) -> None:
    """Refused once, with an event; and one that was declared before does not outlast the cap, as a job would."""
    until = times.at + timedelta(hours=5)
    beat((awake, declared(until)))
    set_cap(
        actor=metered.world.bill.as_actor(),
        org_id=metered.org_id,
        mode=CapMode.STOP,
        hours=1,
        workspace_id=None,
    )
    times.pass_(hours=1, minutes=1)
    beat((awake, declared(until)))
    for _ in range(3):
        beat((awake, declared(until + timedelta(hours=1))))
    [refused] = events(metered, "access.denied")
    assert (refused.facts["action"], refused.facts["rule"]) == ("runtime.wake", "cap")
    times.pass_(minutes=2)
    for org_id, cap_id in lookups.caps_due(timezone.now(), 10_000):
        idle.look_at_cap(org_id, cap_id)
    assert metered.runtime(awake).wanted == Power.ASLEEP


@pytest.mark.parametrize(
    ("reason", "name"),
    [("", "no reason given"), ("ghp_" + "a1B2" * 9, "no reason given"), ("<b>x</b>", "<b>x</b>")],
)
def test_the_reason_is_a_name_and_no_credential(
    metered: Metered, awake: Workspace, times: Times, beat: Beat, reason: str, name: str
) -> None:
    beat((awake, declared(times.at + timedelta(hours=1), reason)))
    assert [one.name for one in leases(metered)] == [name]
    assert [one.facts["job"] for one in events(metered, "runtime.extended")] == [name]


def test_a_jobs_name_stays_the_jobs(metered: Metered, awake: Workspace, times: Times, beat: Beat) -> None:
    alice = metered.world.alice.as_actor()
    hold_awake(actor=alice, org_id=metered.org_id, workspace_id=awake.id, name="nightly", for_s=600)
    beat((awake, declared(times.at + timedelta(hours=1), "nightly")))
    assert [one.name for one in leases(metered)] == ["nightly (declared in the shell)"]


def test_who_is_alone_in_the_shell_is_named(
    metered: Metered, awake: Workspace, times: Times, beat: Beat
) -> None:
    connected(metered, awake, metered.world.bob)
    beat((awake, declared(times.at + timedelta(hours=1))))
    assert [one.held_by for one in leases(metered)] == [metered.world.bob.name]
    connected(metered, awake, metered.world.alice)
    beat((awake, declared(times.at + timedelta(hours=2))))
    assert sorted(one.held_by for one in leases(metered)) == [metered.world.bob.name, "Its shell"]


def test_another_organizations_workspace_is_none(
    metered: Metered, awake: Workspace, times: Times, beat: Beat, world: World
) -> None:
    """N1: a heartbeat enters its own organization alone."""
    mallory, org_id = world.mallory.as_actor(), world.mallet.id
    project = create_project(actor=mallory, org_id=org_id, slug="theirs", name="Theirs")
    theirs = open_workspace(actor=mallory, org_id=org_id, project_id=project.id, branch="main")
    beat((theirs, declared(times.at + timedelta(hours=1))), (awake, declared(times.at + timedelta(hours=1))))
    with tenancy.enter(org_id):
        assert not JobLease.objects.exists()
    assert len(leases(metered)) == 1


def test_a_quiet_beat_costs_one_query(
    metered: Metered,
    awake: Workspace,
    times: Times,
    beat: Beat,
    django_assert_num_queries: Any,
) -> None:
    until = times.at + timedelta(hours=1)
    beat((awake, declared(until)))
    # The transaction's own four, and the look.
    with django_assert_num_queries(4):
        beat((awake, declared(until)))
