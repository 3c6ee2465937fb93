"""What is looked up before the organization is known answers ids of what is there, and of nothing else (N1)."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.utils import timezone

from devlinks import ending, lookups, reconcile
from devlinks.labels import host_name
from devlinks.models import DevCode, DevLink, DevSession, LinkKey, Purge
from devlinks.purges import revision_now
from envforge import tenancy
from envforge_protocol.gateway.base import digest
from orgs.models import ConsoleSession
from tests.product.devlinks.test_members import come_in
from tests.product.devlinks.yard import Gateway, Yard
from tests.product.hosts.conftest import Clock
from tests.product.world import World


def test_n1_each_finds_its_own(yard: Yard, strangers: Yard, gateway: Gateway, world: World) -> None:
    issued = yard.issue()
    visit = gateway.enter(issued)
    assert lookups.organization_of_link(issued.link.id) == yard.org
    assert lookups.organization_of_link(strangers.issue().link.id) == strangers.org
    assert lookups.organization_of_link(uuid4()) is None
    assert lookups.session_by_digest(digest(visit.value)) == (yard.org, visit.session_id)
    assert lookups.host_by_label(visit.host.partition(".")[0]) == (yard.org, issued.link.host_id)
    for nothing in (lookups.session_by_digest, lookups.code_by_digest, lookups.ticket_by_digest):
        assert nothing("0" * 64) is None
    assert lookups.host_by_label("nothing") is None
    _, member = come_in(yard, gateway, world.vera)
    sign_in = ConsoleSession.objects.get(person=world.vera)
    assert [str(one) for _, one in lookups.sessions_of_sign_in(sign_in.id)] == [str(member.session_id)]
    assert host_name(issued.link.host.label) == visit.host


def test_n1_what_is_due_is_found_when_it_is(yard: Yard, clock: Clock) -> None:
    issued = yard.issue(lifetime=timedelta(minutes=5))
    pair = (yard.org, issued.link.id)
    assert pair not in lookups.links_expiring(timezone.now(), 1000)
    clock.pass_(minutes=6)
    assert pair in lookups.links_expiring(timezone.now(), 1000)
    reconcile.sweep()
    assert pair not in lookups.links_expiring(timezone.now(), 1000)


def test_spent_codes_are_forgotten_after_a_while(yard: Yard, gateway: Gateway, clock: Clock) -> None:
    gateway.enter(yard.issue())
    reconcile.tidy()
    with tenancy.enter(yard.org):
        assert DevCode.objects.count() == 1
    clock.pass_(hours=2)
    assert yard.org in lookups.organizations_with_spent_codes(timezone.now(), 1000)
    reconcile.tidy()
    with tenancy.enter(yard.org):
        assert not DevCode.objects.exists()


def test_outside_of_an_organization_nothing_is_seen(yard: Yard, gateway: Gateway) -> None:
    gateway.enter(yard.issue())
    assert not DevLink.objects.exists()
    assert not DevSession.objects.exists()


def test_l9_an_expired_link_is_purged_with_its_end(yard: Yard, gateway: Gateway, clock: Clock) -> None:
    issued = yard.issue(lifetime=timedelta(minutes=5))
    visit = gateway.enter(issued)
    before = revision_now()
    clock.pass_(minutes=6)
    ending.record_expired(timezone.now())
    assert Purge.objects.filter(revision__gt=before, kind="link", key_id=issued.link.id, cut=True).exists()
    assert yard.session(visit.session_id).end_cause == "expired"


def test_an_operator_rotates_the_key(yard: Yard, capsys: pytest.CaptureFixture[str]) -> None:
    yard.issue()
    call_command("rotate_link_key")
    kid = capsys.readouterr().out.split()[0]
    assert LinkKey.objects.get(retired_at=None).kid == kid
    before = revision_now()
    call_command("rotate_link_key", "--distrust")
    assert Purge.objects.filter(revision__gt=before, kind="everything").exists()
    assert not LinkKey.objects.filter(good_until__gt=timezone.now()).exists()
