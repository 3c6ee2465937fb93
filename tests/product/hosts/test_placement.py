"""Who is placed where: packing, room, VMs of one's own, and never with others (V1, V3)."""

import random
import threading
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import connection
from psycopg import errors

from envforge import tenancy
from envforge.actor import SYSTEM
from envforge.errors import NotAllowed, NotVisible
from hosts import operations, placement, records, wants
from hosts.models import Host, HostRole, Observed, Placement, Power, Size, Slot
from hosts.placement import SlotView
from hosts.sizes import room_of, units_of
from orgs.models import Organization
from tests.product.hosts.conftest import Clock
from tests.product.hosts.fleet import Fleet
from tests.product.world import World


def set_state(fleet: Fleet, host: Host, observed: Observed) -> None:
    """As after steps that were taken; placement asks nothing of EC2."""
    with tenancy.enter(fleet.org_id):
        Host.objects.filter(id=host.id).update(
            observed=observed, joined_at=fleet.clock.now(), heard_at=fleet.clock.now()
        )


def test_small_ones_fill_a_vm_before_the_next_is_made(fleet: Fleet) -> None:
    slots = [fleet.awake() for _ in range(5)]
    assert len({slot.host_id for slot in slots[:4]}) == 1
    assert slots[4].host_id != slots[0].host_id
    assert [host.number for host in fleet.hosts()] == [1, 2]
    fleet.sleep(slots[0])
    assert fleet.awake(size=Size.MEDIUM).host_id == slots[4].host_id
    assert fleet.awake().host_id == slots[0].host_id, "the fullest that has room"


def test_a_running_vm_comes_before_a_stopped_one(fleet: Fleet) -> None:
    first = fleet.awake(size=Size.LARGE)
    second = fleet.awake(size=Size.LARGE)
    for slot in (first, second):
        fleet.sleep(slot)
    set_state(fleet, fleet.host(second), Observed.RUNNING)
    set_state(fleet, fleet.host(first), Observed.STOPPED)
    operations.stop_host(actor=SYSTEM, org_id=fleet.org_id, host_id=first.host_id)  # type: ignore[arg-type]
    assert fleet.awake(size=Size.LARGE).host_id == second.host_id
    assert fleet.awake(size=Size.LARGE).host_id == first.host_id
    assert len(fleet.hosts()) == 2


def test_a_sleeper_gives_its_room_and_comes_back_elsewhere_if_it_is_taken(fleet: Fleet) -> None:
    sleeper = fleet.awake(size=Size.LARGE)
    fleet.sleep(sleeper)
    other = fleet.awake(size=Size.LARGE)
    assert other.host_id == sleeper.host_id
    woken = fleet.wake(sleeper)
    assert woken.host_id != sleeper.host_id
    assert len(fleet.events("placement.made")) == 3
    assert len(fleet.events("placement.ended")) == 1


def test_shells_and_runtimes_have_vms_apart(fleet: Fleet) -> None:
    workspace = uuid4()
    shell = fleet.awake(role=HostRole.SHELL, workspace_id=workspace)
    runtime = fleet.awake(workspace_id=workspace)
    assert shell.host_id != runtime.host_id
    assert {host.name for host in fleet.hosts()} == {"Shell VM 1", "Runtime VM 1"}


def test_v3_a_dedicated_workspace_shares_with_nobody(fleet: Fleet) -> None:
    shared = fleet.awake()
    alone = fleet.awake(dedicated=True)
    assert alone.host_id != shared.host_id
    assert fleet.host(alone).size == Size.SMALL
    assert fleet.awake().host_id == shared.host_id
    [moved] = placement.dedicate_slots(
        actor=SYSTEM, org_id=fleet.org_id, workspace_id=shared.workspace_id, dedicated=True
    )
    assert moved.host_id not in {shared.host_id, alone.host_id}
    assert fleet.host(moved).dedicated_to == shared.workspace_id


def test_v3_a_vm_per_workspace_for_all_is_an_admins_choice(fleet: Fleet, world: World) -> None:
    choice: Any = {"org_id": fleet.org_id, "wanted": True}
    with pytest.raises(NotAllowed):
        operations.set_vm_per_workspace(actor=world.bob.as_actor(), **choice)
    with pytest.raises(NotVisible):
        operations.set_vm_per_workspace(actor=world.mallory.as_actor(), **choice)
    assert fleet.awake().host_id == fleet.awake().host_id
    for _ in range(2):
        operations.set_vm_per_workspace(actor=world.adam.as_actor(), **choice)
    assert len({fleet.awake().host_id for _ in range(3)}) == 3
    assert len(fleet.events("organization.setting_changed")) == 1


def test_another_size_places_anew(fleet: Fleet) -> None:
    slot = fleet.awake()
    named: Any = {
        "actor": SYSTEM,
        "org_id": fleet.org_id,
        "workspace_id": slot.workspace_id,
        "label": "feature",
        "role": HostRole.RUNTIME,
    }
    assert placement.awake_slot(**named, size=Size.SMALL) == slot
    assert len(fleet.events("placement.made")) == 1
    large = placement.awake_slot(**named, size=Size.LARGE)
    assert (large.id, large.size, large.active) == (slot.id, Size.LARGE, True)
    assert large.host_id is not None
    fleet.sleep(large)
    assert placement.awake_slot(**named, size=Size.LARGE) == large


def test_asking_twice_changes_and_records_nothing(fleet: Fleet) -> None:
    slot = fleet.claim()
    assert fleet.claim(workspace_id=slot.workspace_id) == slot
    assert fleet.wake(slot) == fleet.wake(slot)
    assert len(fleet.events("placement.made")) == 1
    fleet.release(slot)
    with pytest.raises(NotVisible):
        fleet.wake(slot)


def test_a_slot_of_another_organization_does_not_exist(fleet: Fleet, world: World, clock: Clock) -> None:
    slot = fleet.claim()
    with pytest.raises(NotVisible):
        Fleet(world.mallet.id, clock).wake(slot)


def test_w11_claims_at_once_never_overfill(fleet: Fleet) -> None:
    slots = [fleet.claim(size=size) for size in (Size.SMALL, Size.MEDIUM, Size.LARGE) for _ in range(6)]
    barrier = threading.Barrier(6)

    def work(own: list[SlotView]) -> None:
        try:
            barrier.wait()
            for slot in own:
                fleet.wake(slot)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=[slots[number::6]]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken: dict[UUID, int] = {}
    for one in fleet.placements():
        taken[one.host_id] = taken.get(one.host_id, 0) + units_of(one.slot.role, one.slot.size)
    assert sum(taken.values()) == 6 * (1 + 2 + 4)
    rooms = {host.id: room_of(host.role, host.size) for host in fleet.hosts()}
    assert all(units <= rooms[host_id] for host_id, units in taken.items())
    assert len(rooms) <= 13


def test_v1_a_placement_that_joins_two_organizations_cannot_be_stored(
    fleet: Fleet, world: World, clock: Clock, admin: psycopg.Connection
) -> None:
    """A superuser, whom row level security does not bind, in every way a row could lie."""
    ours, theirs = fleet.awake(), Fleet(world.mallet.id, clock).awake()
    insert = """INSERT INTO hosts_placement (id, org_id, slot_id, host_id, generation, began_at)
                VALUES (gen_random_uuid(), %s, %s, %s, 1, now())"""
    free = fleet.claim()
    lies: list[tuple[str, list[Any]]] = [
        (insert, [fleet.org_id, free.id, theirs.host_id]),
        (insert, [world.mallet.id, free.id, theirs.host_id]),
        (insert, [uuid4(), free.id, ours.host_id]),
        ("UPDATE hosts_placement SET host_id = %s WHERE slot_id = %s", [theirs.host_id, ours.id]),
        ("UPDATE hosts_placement SET org_id = %s WHERE slot_id = %s", [world.mallet.id, ours.id]),
        ("UPDATE hosts_host SET org_id = %s WHERE id = %s", [world.mallet.id, ours.host_id]),
        ("UPDATE hosts_slot SET org_id = %s WHERE id = %s", [world.mallet.id, ours.id]),
    ]
    assert admin.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (True,)
    for statement, values in lies:
        # An organization's VMs are numbered: one that moves may meet that key before the foreign ones.
        with pytest.raises((errors.ForeignKeyViolation, errors.UniqueViolation)):
            admin.execute(statement, values)
            admin.execute("SET CONSTRAINTS ALL IMMEDIATE")
        admin.rollback()
    admin.execute(insert, [fleet.org_id, free.id, ours.host_id])
    admin.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_v1_a_vm_belongs_to_one_host_and_a_slot_is_on_one(fleet: Fleet, admin: psycopg.Connection) -> None:
    first, second = fleet.awake(size=Size.LARGE), fleet.awake(size=Size.LARGE)
    mark = f"i-{uuid4().hex[:17]}"
    admin.execute("UPDATE hosts_host SET instance_id = %s WHERE id = %s", [mark, first.host_id])
    with pytest.raises(errors.UniqueViolation):
        admin.execute("UPDATE hosts_host SET instance_id = %s WHERE id = %s", [mark, second.host_id])
    admin.rollback()
    with pytest.raises(errors.UniqueViolation):
        admin.execute(
            """INSERT INTO hosts_placement (id, org_id, slot_id, host_id, generation, began_at)
               VALUES (gen_random_uuid(), %s, %s, %s, 1, now())""",
            [fleet.org_id, first.id, second.host_id],
        )
    admin.rollback()


def test_v2_history_cannot_be_deleted_by_the_application(fleet: Fleet) -> None:
    fleet.awake()
    with tenancy.enter(fleet.org_id), pytest.raises(Exception, match="permission denied"):
        Placement.objects.all().delete()


ORGANIZATIONS, MOVES = 50, 2000


def test_v1_a_random_walk_over_fifty_organizations_shares_no_vm(world: World, clock: Clock) -> None:
    """Placements, sleeps, ends and replacements in any order; the proof reads the exported history alone."""
    from hosts.history import export_lines

    dice = random.Random(4)  # noqa: S311 - a walk that can be walked again
    fleets = [Fleet(_organization(world, number).id, clock) for number in range(ORGANIZATIONS)]
    slots: dict[int, list[SlotView]] = {number: [] for number in range(ORGANIZATIONS)}
    for _ in range(MOVES):
        number = dice.randrange(ORGANIZATIONS)
        fleet, own = fleets[number], slots[number]
        clock.ahead += timedelta(seconds=dice.randrange(60))
        move = dice.random()
        if move < 0.35 or not own:
            own.append(
                fleet.awake(
                    f"branch-{len(own)}",
                    dice.choice(list(Size)),
                    role=dice.choice(list(HostRole)),
                    dedicated=dice.random() < 0.1,
                )
            )
        elif move < 0.6:
            fleet.sleep(dice.choice(own))
        elif move < 0.75:
            fleet.wake(dice.choice(own))
        elif move < 0.9:
            fleet.release(own.pop(dice.randrange(len(own))))
        else:
            _replace_or_end(fleet, dice)
    stays: dict[tuple[str, int], set[str]] = {}
    count = 0
    for fleet in fleets:
        for row in export_lines(fleet.org_id):
            stays.setdefault((row["vm"], row["generation"]), set()).add(row["organization"])
            count += 1
    assert count > MOVES / 3
    assert all(len(owners) == 1 for owners in stays.values())


def _organization(world: World, number: int) -> Organization:
    return world.organization(f"Org{number}", world.alice)


def _replace_or_end(fleet: Fleet, dice: random.Random) -> None:
    """What a reconciler would record after EC2 said so."""
    with tenancy.enter(fleet.org_id):
        hosts = list(Host.objects.select_for_update().exclude(wanted=Power.ENDED))
        if not hosts:
            return
        host = dice.choice(hosts)
        now = fleet.clock.now()
        if wants.is_used(host):
            records.renew(host, "checks", now)
        else:
            wants.want(host, Power.ENDED, cause="unused", now=now)
            records.close(host, "unused", now)
        host.version += 1
        host.save()


def test_slots_are_counted_alike_everywhere() -> None:
    assert [units_of("runtime", size) for size in Size] == [1, 2, 4]
    assert [room_of("runtime", size) for size in Size] == [1, 2, 4]
    assert [room_of("shell", size) for size in Size] == [4, 8, 16]
    assert {units_of("shell", size) for size in Size} == {1}
    assert Slot._meta.get_field("org_id").null is False
