"""Events: in the caller's transaction, of declared kinds, with declared facts (A1, A2, DESIGN 5)."""

import re
from datetime import UTC, datetime
from string import Formatter
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from audit.append import append, append_platform
from audit.facts import Choice, Choices, Fact, FactRefused, Flag, Id, Integer, Name, Pattern, Time
from audit.kinds import EventKind
from audit.models import Event
from envforge import request_id, tenancy
from envforge.actor import SYSTEM, SystemActor, Target
from envforge.errors import TenancyError
from envforge_protocol.audit.canonical import canonical
from orgs import operations
from orgs.models import Organization
from tests.product.world import World

TARGET = Target("organization", "1", "Acme")


def kinds_of(org: Organization) -> list[str]:
    with tenancy.enter(org.id):
        return list(Event.objects.order_by("at", "id").values_list("kind", flat=True))


def test_a_write_and_its_event_commit_together(world: World) -> None:
    operations.rename_organization(actor=world.alice.as_actor(), org_id=world.acme.id, name="Acme Works")
    assert kinds_of(world.acme) == ["organization.created", "member.joined", "organization.renamed"]


def test_a_write_rolled_back_leaves_no_event(world: World) -> None:
    with pytest.raises(ZeroDivisionError), tenancy.enter(world.acme.id):
        operations.rename_organization(actor=world.alice.as_actor(), org_id=world.acme.id, name="Acme Works")
        raise ZeroDivisionError
    assert kinds_of(world.acme) == ["organization.created", "member.joined"]
    with tenancy.enter(world.acme.id):
        assert Organization.objects.get().name == "Acme"


def test_an_event_outside_of_a_transaction_is_refused() -> None:
    with pytest.raises(TenancyError, match="No organization is entered"):
        append(EventKind.ORGANIZATION_RENAMED, actor=SYSTEM, target=TARGET, previous="Acme")
    with pytest.raises(TenancyError, match="outside of a transaction"):
        append_platform(EventKind.SIGN_IN_REFUSED, actor=SYSTEM, target=TARGET, reason="unknown_issuer")


def test_the_event_tells_who_what_and_by_which_request(world: World) -> None:
    started = request_id.begin()
    operations.rename_organization(actor=world.alice.as_actor(), org_id=world.acme.id, name="Acme Works")
    request_id.end()
    with tenancy.enter(world.acme.id):
        event = Event.objects.get(kind="organization.renamed")
    assert (event.actor_kind, event.actor_id, event.actor_label) == ("user", str(world.alice.id), "Alice")
    assert (event.target_kind, event.target_id, event.target_label) == (
        "organization",
        str(world.acme.id),
        "Acme Works",
    )
    assert event.facts == {"previous": "Acme"}
    assert event.request_id == started


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({}, "organization.renamed needs the fact previous"),
        ({"previous": "Acme", "cookie": "abc"}, "organization.renamed declares no fact cookie"),
        ({"previous": 7}, "the fact previous takes one line"),
        ({"previous": "two\nlines"}, "the fact previous takes one line"),
        ({"previous": "x" * 201}, "the fact previous takes one line"),
        ({"previous": b"bytes"}, "the fact previous takes one line"),
        ({"previous": "Bearer 0123456789abcdef0123"}, "the fact previous looks like an authorization header"),
        (
            {"previous": "postgresql://bob:hunter2@db/x"},
            "the fact previous looks like a password in an address",
        ),
    ],
)
def test_a2_undeclared_and_unfit_facts_are_refused(world: World, facts: dict[str, Any], told: str) -> None:
    with pytest.raises(FactRefused, match=re.escape(told)) as refused, tenancy.enter(world.acme.id):
        append(EventKind.ORGANIZATION_RENAMED, actor=SYSTEM, target=TARGET, **facts)
    assert not any(str(value) in str(refused.value) for value in facts.values() if len(str(value)) > 4)
    assert len(kinds_of(world.acme)) == 2


def test_a2_a_label_that_holds_a_credential_is_refused(world: World) -> None:
    leaky = SystemActor(id="x", label="AKIAIOSFODNN7EXAMPLE")
    with (
        pytest.raises(FactRefused, match="the actor looks like an AWS access key"),
        tenancy.enter(world.acme.id),
    ):
        append(EventKind.ORGANIZATION_RENAMED, actor=leaky, target=TARGET, previous="Acme")


def example(fact: Fact) -> Any:
    match fact:
        case Name():
            return "Design review"
        case Choice(words=words):
            return words[0]
        case Choices(words=words):
            return list(words)
        case Integer():
            return 7
        case Flag():
            return True
        case Id():
            return uuid4()
        case Time():
            return datetime(2026, 1, 31, 9, tzinfo=UTC)
        case Pattern():
            return "abcdef12"
    raise AssertionError(fact)


@pytest.mark.parametrize("kind", EventKind, ids=lambda kind: kind.wire_name)
def test_every_kind_can_be_told(kind: EventKind, world: World) -> None:
    facts = {name: example(fact) for name, fact in kind.value.facts.items()}
    with tenancy.enter(world.acme.id):
        event_id = append(kind, actor=SYSTEM, target=TARGET, **facts)
        stored = Event.objects.get(id=event_id)
    assert canonical(stored.facts)
    named = {field for _, field, _, _ in Formatter().parse(kind.says) if field}
    assert named <= facts.keys() | {"actor", "target"}, (
        "a sentence uses a fact that the kind does not declare"
    )
    assert "{" not in kind.says.format(actor="Alice", target="Acme", **stored.facts)


def test_kinds_have_names_of_their_own() -> None:
    names = [kind.wire_name for kind in EventKind]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z_]+\.[a-z_]+", name) for name in names)


def test_a2_all_that_the_founding_text_lists_has_a_kind() -> None:
    listed = [
        "workspace.created",
        "shell.connected",
        "runtime.started",
        "runtime.slept",
        "dev_link.issued",
        "dev_link.first_used",
        "dev_link.expired",
        "dev_link.revoked",
        "dev_link.allowlist_changed",
        "secret.set",
        "secret.rotated",
        "secret.deleted",
        "tailnet.device_joined",
        "tailnet.device_tagged",
        "tailnet.device_disconnected",
        "tailnet.device_removed",
        "root.policy_changed",
        "root.requested",
        "access.denied",
    ]
    assert set(listed) <= {kind.wire_name for kind in EventKind}


def test_platform_events_form_a_chain_of_their_own(world: World) -> None:
    with tenancy.enter(world.acme.id):
        event_id = append_platform(
            EventKind.SIGN_IN_REFUSED, actor=SYSTEM, target=TARGET, reason="unknown_issuer"
        )
        assert not Event.objects.filter(id=event_id).exists()
    with tenancy.enter(tenancy.PLATFORM):
        assert Event.objects.get(id=event_id).org_id == tenancy.PLATFORM


def test_events_lie_in_their_months_partition(world: World) -> None:
    assert world.acme
    with tenancy.enter(world.acme.id), connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT tableoid::regclass::text, 'audit_event_' || to_char(at, 'YYYYMM') FROM audit_event"
        )
        assert all(lies == belongs for lies, belongs in cursor.fetchall())
