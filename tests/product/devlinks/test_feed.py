"""The stream of what must be forgotten: in order, without gaps, with heartbeats that say what PostgreSQL just said (G1, G2, L4)."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx2
import redis
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from devlinks import link_keys, settling
from devlinks.models import Gateway as Row
from devlinks.operations import links
from devlinks.purges import purge, revision_now
from envforge import tenancy
from envforge.actor import SYSTEM
from envforge_protocol.host.base import PROTOCOL_HEADER
from orgs import operations
from tests.product.devlinks.yard import Gateway, Yard
from tests.product.world import World


class Stream:
    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines

    def next(self, *kinds: str) -> dict[str, Any]:
        deadline = time.monotonic() + 10
        for line in self._lines:
            event: dict[str, Any] = json.loads(line)
            if event["kind"] in kinds:
                return event
            assert time.monotonic() < deadline
        raise AssertionError("the stream ended")


@contextmanager
def stream(gateway: Gateway, after: int) -> Iterator[Stream]:
    headers = {
        "host": settings.GATEWAY_API_HOST,
        PROTOCOL_HEADER: "1",
        "authorization": f"Bearer {gateway.token}",
    }
    address = f"{gateway.address}/gateway/v1/events?after={after}"
    with httpx2.stream("GET", address, headers=headers, timeout=15) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/x-ndjson"
        yield Stream(answer.iter_lines())


def caused(yard: Yard, count: int) -> None:
    for _ in range(count):
        with tenancy.enter(yard.org):
            purge("session", uuid4(), reason="test")


def test_g1_the_stream_begins_with_hello_and_tells_what_was_missed_in_order(
    yard: Yard, gateway: Gateway
) -> None:
    after = revision_now()
    caused(yard, 5)
    with stream(gateway, after) as told:
        assert told.next("hello")["starts_after"] == after
        revisions = [told.next("purge") for _ in range(5)]
        assert [one["revision"] for one in revisions] == list(range(after + 1, after + 6))
        assert [one["after"] for one in revisions] == list(range(after, after + 5))
        assert told.next("heartbeat")["revision"] == after + 5


def test_g1_what_is_not_known_any_more_or_not_yet_is_a_new_beginning(yard: Yard, gateway: Gateway) -> None:
    now = revision_now()
    for after in (now + 1000, max(0, now - 10**6) if now > 10**6 else now + 5):
        with stream(gateway, after) as told:
            assert told.next("hello")["starts_after"] == revision_now()


def test_g1_a_commit_is_told_at_once_and_the_heartbeat_after_it_covers_it(
    yard: Yard, gateway: Gateway
) -> None:
    issued = yard.issue()
    with stream(gateway, revision_now()) as told:
        told.next("heartbeat")
        began = time.monotonic()
        links.revoke_dev_link(actor=yard.alice, org_id=yard.org, link_id=issued.link.id)
        event = told.next("purge")
        assert time.monotonic() - began < 1
        assert (event["key"]["kind"], event["key"]["id"]) == ("link", str(issued.link.id))
        assert (event["reason"], event["cut"]) == ("revoked", True)
        beat = told.next("heartbeat")
        assert beat["revision"] == event["revision"]


def test_g1_what_is_rolled_back_is_told_to_nobody(yard: Yard, gateway: Gateway) -> None:
    with stream(gateway, revision_now()) as told:
        told.next("heartbeat")
        with tenancy.enter(yard.org):
            purge("session", uuid4(), reason="never")
            transaction.set_rollback(True)
        caused(yard, 1)
        assert told.next("purge")["reason"] == "test"


def test_g2_an_open_stream_is_a_lease_and_its_end_is_not_its_lapse(yard: Yard, gateway: Gateway) -> None:
    def is_leased() -> bool:
        return Row.objects.filter(id=gateway.id, leased_until__gt=timezone.now()).exists()

    assert not is_leased()
    with stream(gateway, revision_now()) as told:
        told.next("heartbeat")
        assert is_leased()
    assert is_leased()


def test_keys_are_told_when_they_change(yard: Yard, gateway: Gateway) -> None:
    yard.issue()
    with stream(gateway, revision_now()) as told:
        told.next("heartbeat")
        kid = link_keys.rotate(actor=SYSTEM)
        while kid not in [one["kid"] for one in told.next("keys")["keys"]]:
            pass


def test_l4_a_gateway_acknowledges_for_itself_alone_and_the_receipt_names_it(
    yard: Yard, gateway: Gateway, address: str
) -> None:
    issued = yard.issue()
    Row.objects.exclude(id=gateway.id).update(left_at=timezone.now())
    silent = Gateway(address, "gateway-2").register()
    with stream(gateway, revision_now()) as told, stream(silent, revision_now()) as other:
        told.next("heartbeat")
        other.next("heartbeat")
        links.revoke_dev_link(actor=yard.alice, org_id=yard.org, link_id=issued.link.id)
        revision = told.next("purge")["revision"]
        body = {
            "gateway_id": str(gateway.id),
            "revision": revision,
            "applied": [{"revision": revision, "cut": 3, "at": timezone.now().isoformat()}],
        }
        assert silent.raw("POST", "acknowledgements", body).status_code == 422
        for _ in range(2):
            assert gateway.raw("POST", "acknowledgements", body).status_code == 204
    [receipt] = settling.receipts_of("link", issued.link.id, yard.org)
    assert [(one.gateway, one.cut, one.at is None) for one in receipt.applied] == [
        ("gateway-1", 3, False),
        ("gateway-2", 0, True),
    ]
    assert (receipt.cut, receipt.waits_for) == (3, 1)


def test_g2_a_word_about_withdrawn_routes_reaches_whoever_waits_for_it(
    yard: Yard, gateway: Gateway, queue: str
) -> None:
    """G2: an acknowledged route purge has its runtime looked at; said again it has not."""
    yard.awake()
    yard.asleep()
    broker = redis.Redis.from_url(settings.CELERY_BROKER_URL)
    body = {"gateway_id": str(gateway.id), "revision": revision_now(), "applied": []}
    for _ in range(2):
        assert gateway.raw("POST", "acknowledgements", body).status_code == 204
    told = [json.loads(message)["headers"]["task"] for message in broker.lrange(queue, 0, -1)]
    assert told.count("workspaces.routes.gone") == 1


def test_l8_i4_whatever_ends_a_member_is_purged_with_it(yard: Yard, world: World) -> None:
    from devlinks.models import Purge

    assert world.bob
    before = revision_now()
    operations.suspend_member(actor=yard.alice, org_id=yard.org, person_id=world.bob.id)
    assert Purge.objects.filter(kind="person", key_id=world.bob.id, revision__gt=before, cut=True).exists()
