"""What a person and a program are told when PostgreSQL ends a transaction, or is not there: 503, in words, and when to come again."""

from collections.abc import Iterator
from threading import Event, Thread
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client

from envforge import tenancy
from envforge.database_errors import as_unavailable
from orgs.access import locked_organization
from orgs.models import Organization
from tests.product.visitors import signed_in
from tests.product.world import World


@pytest.fixture
def busy(world: World) -> Iterator[None]:
    """Somebody holds the organization, and this connection waits for a moment only."""
    there, over = Event(), Event()

    def hold() -> None:
        with tenancy.enter(world.acme.id):
            locked_organization()
            there.set()
            over.wait(30)
        connection.close()

    other = Thread(target=hold)
    other.start()
    assert there.wait(30)
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '200ms'")
    yield
    with connection.cursor() as cursor:
        cursor.execute("RESET lock_timeout")
    over.set()
    other.join(30)


def cut_off() -> None:
    """The server ends this thread's connection, as at a failover; it is not told before it asks again."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]

    def end() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        connection.close()

    other = Thread(target=end)
    other.start()
    other.join(30)


def unavailable(answer: Any) -> str:
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    text: str = answer.content.decode()
    return text


def rename(browser: Client, world: World, **headers: str) -> Any:
    address = f"/o/{world.acme.slug}/settings"
    return browser.post(address, {"name": "Acme Works"}, headers=headers)


@pytest.mark.usefixtures("busy")
def test_what_is_in_somebodys_way_is_a_page_that_says_so(world: World) -> None:
    page = unavailable(rename(signed_in(world.alice), world))
    assert "nothing of yours was done" in page
    assert "lock" not in page.lower()


@pytest.mark.usefixtures("busy")
def test_and_a_program_reads_it_as_a_problem(world: World) -> None:
    answer = rename(signed_in(world.alice), world, accept="application/json")
    unavailable(answer)
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["title"] == "Not available at the moment"


@pytest.mark.parametrize("address", ["/o/{}/", "/api/v1/orgs/{}", "/o/{}/timeline"])
def test_a_lost_connection_is_no_error_of_ours_and_the_next_request_has_another(
    world: World, address: str
) -> None:
    browser = signed_in(world.alice)
    where = address.format(world.acme.slug)
    assert browser.get(where).status_code == 200
    cut_off()
    unavailable(browser.get(where))
    connection.close()
    assert browser.get(where).status_code == 200


def test_a_deadlock_is_told_as_one(world: World) -> None:
    """Two transactions that really want each other's rows."""
    mine, theirs = Event(), Event()
    ended: list[BaseException] = []

    def cross(first: int, second: int, done: Event, others: Event) -> None:
        try:
            with tenancy.enter(world.acme.id), connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [first])
                done.set()
                others.wait(30)
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [second])
        except OperationalError as error:
            ended.append(error)
        finally:
            connection.close()

    pair = [Thread(target=cross, args=(1, 2, mine, theirs)), Thread(target=cross, args=(2, 1, theirs, mine))]
    for one in pair:
        one.start()
    for one in pair:
        one.join(30)
    [error] = ended
    told = as_unavailable(error)
    assert told
    assert "nothing of yours was done" in told.detail


def test_an_error_of_our_own_stays_one(world: World) -> None:
    with pytest.raises(Organization.DoesNotExist) as wrong, tenancy.enter(world.acme.id):
        Organization.objects.get(slug="no-such")
    assert as_unavailable(wrong.value) is None
