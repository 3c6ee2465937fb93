"""The timeline's pages: every event once, the newest first, whatever its age, its filter, sealed or not."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from audit import selectors
from audit.filters import Filter
from audit.models import Event
from envforge import request_id, tenancy
from envforge.ids import uuid7
from orgs import operations
from orgs.models import Organization
from tests.product.chains import seal
from tests.product.world import World

NOW = timezone.now()
OLD = (
    "INSERT INTO audit_event (id, org_id, at, kind, actor_kind, actor_id, actor_label, target_kind, target_id, target_label, request_id) "
    "VALUES (%s, %s, %s, %s, 'user', %s, 'Alice', 'workspace', '1', 'Shop', %s)"
)


def tell(org: Organization, days_ago: list[int], kind: str = "shell.connected") -> None:
    """Events as they were told in other months; two at each time."""
    with tenancy.enter(org.id), connection.cursor() as cursor:
        for days in days_ago:
            for actor in ("alice", "bob"):
                cursor.execute(OLD, [uuid7(), org.id, NOW - timedelta(days=days), kind, actor, f"req-{days}"])


def walk(org: Organization, wanted: Filter, size: int) -> Iterator[list[UUID]]:
    """The ids on each page."""
    before: tuple[datetime, UUID] | None = None
    with tenancy.enter(org.id):
        while True:
            page = selectors.page(wanted, before=before, size=size)
            yield [event.id for event in page.events]
            before = page.older
            if before is None:
                return


FILTERS = [
    Filter(),
    Filter(kind="shell.connected"),
    Filter(kind="secret.rotated"),
    Filter(actor_id="bob"),
    Filter(kind="shell.connected", actor_id="alice"),
    Filter(target_id="1"),
    Filter(request_id="req-40"),
    Filter(since=NOW - timedelta(days=90)),
    Filter(until=NOW - timedelta(days=35)),
    Filter(since=NOW - timedelta(days=300), until=NOW - timedelta(days=20), kind="shell.connected"),
    Filter(kind="no.such_kind"),
]


@pytest.mark.parametrize("size", [1, 3, 50])
@pytest.mark.parametrize("wanted", FILTERS, ids=lambda wanted: ",".join(wanted.given()) or "all")
def test_pages_hold_every_event_once_in_order(world: World, wanted: Filter, size: int) -> None:
    tell(world.acme, [400, 200, 100, 40, 33, 20, 5])
    seal()
    tell(world.acme, [150, 40, 30, 1])
    tell(world.acme, [300, 2], kind="secret.rotated")
    tell(world.mallet, [100, 1])
    condition, parameters = wanted.sql()
    query = f"SELECT id FROM audit_event WHERE org_id = %s AND {condition} ORDER BY at DESC, id DESC"
    with tenancy.enter(world.acme.id):
        expected = [event.id for event in Event.objects.raw(query, [world.acme.id, *parameters])]
    pages = list(walk(world.acme, wanted, size))
    assert [one for page in pages for one in page] == expected
    assert all(len(page) == size for page in pages[:-1])


def test_what_was_told_just_now_is_on_the_first_page_before_it_is_sealed(world: World) -> None:
    seal()
    started = request_id.begin()
    operations.rename_organization(actor=world.alice.as_actor(), org_id=world.acme.id, name="Acme Works")
    request_id.end()
    with tenancy.enter(world.acme.id):
        [event] = selectors.page(Filter(kind="organization.renamed", request_id=started)).events
    assert event.seq is None
