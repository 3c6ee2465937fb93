"""Purges are numbered in the order of commits, whichever transaction wrote first (G1), and routes wait for them (G2)."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import connections
from django.utils import timezone

from devlinks import gateways, purges, settling
from devlinks.models import Gateway, Purge
from devlinks.purges import purge, revision_now
from envforge import tenancy
from envforge.errors import TenancyError
from hosts.polls import listening_address
from tests.product.devlinks.yard import Yard
from tests.product.hosts.conftest import Clock
from tests.product.world import World

INSERT = (
    "INSERT INTO devlinks_purge (id, numbering, kind, key_id, reason, cut, at) "
    "VALUES (%s, false, 'session', %s, 'test', true, now())"
)


def connect() -> "psycopg.Connection[Any]":
    # Whoever waits for a lock that is never given fails, and hangs nobody up.
    return psycopg.connect(listening_address("a test"), options="-c lock_timeout=10s")


def number(mine: "psycopg.Connection[Any]", query: str, *given: int) -> int:
    row = mine.execute(query, given).fetchone()
    assert row
    return int(row[0])


def revision_of(purge_id: UUID) -> int:
    found = Purge.objects.get(id=purge_id).revision
    assert found is not None
    return found


def test_g1_two_transactions_are_numbered_in_the_order_of_their_commits_not_of_their_writes() -> None:
    first, second = uuid4(), uuid4()
    with connect() as one, connect() as two:
        one.execute(INSERT, [first, uuid4()])
        two.execute(INSERT, [second, uuid4()])
        before = revision_now()
        # Written later, committed first: and it does not wait for the other one.
        two.commit()
        assert revision_of(second) == before + 1
        assert revision_now() == before + 1
        one.commit()
    assert revision_of(first) == before + 2


def test_g1_a_rolled_back_purge_leaves_no_gap() -> None:
    before = revision_now()
    with connect() as one:
        one.execute(INSERT, [uuid4(), uuid4()])
        one.rollback()
        last = uuid4()
        one.execute(INSERT, [last, uuid4()])
        one.commit()
    assert revision_of(last) == before + 1


def test_g1_who_reads_a_revision_sees_every_purge_up_to_it() -> None:
    """Many writers that overlap, and readers that look all the while."""
    stop = threading.Event()
    wrong: list[tuple[int, int]] = []

    def write() -> None:
        with connect() as mine:
            for _ in range(40):
                mine.execute(INSERT, [uuid4(), uuid4()])
                mine.execute("SELECT pg_sleep(random() * 0.003)")
                mine.commit()

    def read() -> None:
        with connect() as mine:
            mine.autocommit = True
            while not stop.is_set():
                head = number(mine, "SELECT value FROM devlinks_revision")
                counted = "SELECT count(*) FROM devlinks_purge WHERE revision > %s AND revision <= %s"
                there = number(mine, counted, start, head)
                if there != head - start:
                    wrong.append((head, there))

    start = revision_now()
    with ThreadPoolExecutor(8) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        writers = [pool.submit(write) for _ in range(5)]
        for one in writers:
            one.result()
        stop.set()
        for one in readers:
            one.result()
    assert not wrong
    assert revision_now() == start + 200


def test_g1_a_check_that_waits_for_another_purger_is_no_deadlock(yard: Yard) -> None:
    """The number is taken after every other check of a commit: one that waits for a lock is not waited for."""
    issued = yard.issue()
    with connect() as one, ThreadPoolExecutor(1) as pool:
        one.execute("SELECT set_config('envforge.org_id', %s, true)", [str(yard.org)])
        one.execute("SELECT 1 FROM devlinks_devlink WHERE id = %s FOR UPDATE", [issued.link.id])
        one.execute(INSERT, [uuid4(), uuid4()])

        def other() -> None:
            with connect() as two:
                two.execute("SELECT set_config('envforge.org_id', %s, true)", [str(yard.org)])
                two.execute(INSERT, [uuid4(), uuid4()])
                # Its foreign key is checked at the commit, and waits for the lock on the link.
                two.execute(
                    "INSERT INTO devlinks_linkwake (id, org_id, link_id, workspace_id, epoch, asked_at) VALUES (%s, %s, %s, %s, 99, now())",
                    [uuid4(), yard.org, issued.link.id, yard.workspace.id],
                )
                two.commit()

        waiting = pool.submit(other)
        deadline = time.monotonic() + 10
        while not one.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():
            assert not waiting.done()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        one.commit()
        waiting.result(timeout=10)


def test_a_purge_belongs_into_a_transaction(yard: Yard) -> None:
    with pytest.raises(TenancyError):
        purge("link", uuid4(), reason="test")


def test_the_application_cannot_number_purges_itself(yard: Yard) -> None:
    with connect() as mine:
        for statement in (
            "UPDATE devlinks_revision SET value = 0",
            "UPDATE devlinks_purge SET revision = 1",
            "SELECT devlinks_purge_number()",
        ):
            with pytest.raises(psycopg.Error, match="permission denied|can only be called as"):
                mine.execute(statement)
            mine.rollback()


def new_gateway(name: str = "g") -> Gateway:
    now = timezone.now()
    return Gateway.objects.create(
        instance=uuid4(), name=name, version="1", registered_at=now, heard_at=now, acknowledged=revision_now()
    )


def gone(yard: Yard, epoch: int) -> bool:
    with tenancy.enter(yard.org):
        return purges.routes_are_gone(yard.workspace.id, epoch)


@pytest.fixture
def alone() -> None:
    """No gateway of another test's lives."""
    Gateway.objects.update(left_at=timezone.now())


def test_g2_services_are_stopped_only_after_every_live_gateway_let_go_or_its_lease_lapsed(
    yard: Yard, clock: Clock, alone: None
) -> None:
    quick, silent = new_gateway("quick"), new_gateway("silent")
    gateways.extend_leases([quick.id, silent.id])
    epoch = yard.awake()
    assert not gone(yard, epoch)
    yard.asleep()
    assert not gone(yard, epoch)
    Gateway.objects.filter(id=quick.id).update(acknowledged=revision_now())
    assert not gone(yard, epoch)
    clock.pass_(seconds=gateways.lease().total_seconds() - 1)
    assert not gone(yard, epoch)
    clock.pass_(seconds=1.5)
    assert gone(yard, epoch)


def test_g2_a_gateway_that_left_or_never_had_a_stream_is_not_waited_for(yard: Yard, alone: None) -> None:
    new_gateway()
    left = new_gateway()
    gateways.extend_leases([left.id])
    epoch = yard.awake()
    yard.asleep()
    assert not gone(yard, epoch)
    Gateway.objects.filter(id=left.id).update(left_at=timezone.now())
    assert gone(yard, epoch)


def test_g2_without_a_withdrawal_routes_are_not_gone(yard: Yard, alone: None) -> None:
    assert not gone(yard, yard.awake())


def test_l4_settling_tells_how_many_connections_were_cut(yard: Yard, world: World, alone: None) -> None:
    from devlinks.models import PurgeReceipt
    from devlinks.operations import links

    issued = yard.issue()
    busy = new_gateway("busy")
    gateways.extend_leases([busy.id])
    links.revoke_dev_link(actor=yard.alice, org_id=yard.org, link_id=issued.link.id)
    settling.settle(timezone.now())
    assert not yard.events("dev_link.cut")
    revision = revision_now()
    PurgeReceipt.objects.create(revision=revision, gateway=busy, applied_at=timezone.now(), cut=3)
    Gateway.objects.filter(id=busy.id).update(acknowledged=revision)
    for _ in range(2):
        settling.settle(timezone.now())
    [event] = yard.events("dev_link.cut")
    assert (event.facts["connections"], event.facts["gateways"]) == (3, 1)
    connections.close_all()


def test_settling_asks_as_often_for_many_that_wait_as_for_one(
    yard: Yard, alone: None, django_assert_max_num_queries: Any
) -> None:
    slow = new_gateway("slow")
    gateways.extend_leases([slow.id])
    for _ in range(12):
        yard.awake()
        yard.asleep()
    with django_assert_max_num_queries(4):
        assert settling.settle(timezone.now()) == 0
    Gateway.objects.filter(id=slow.id).update(acknowledged=revision_now())
    assert settling.settle(timezone.now()) >= 12
    assert not Purge.objects.filter(settled_at=None).exists()
