"""A window begins with the commit that records something: what failed is recorded by the next, and nothing is lost (A2, A3)."""

from contextlib import suppress
from uuid import uuid4

import pytest
from django.db import transaction

from audit import denials
from audit.append import append
from audit.models import Event
from audit.reads import record_read
from envforge import tenancy
from envforge.errors import Denial
from envforge.windows import Window
from orgs import sessions
from tests.product.world import World


class Lost(Exception):
    """The process died, or the transaction failed."""


def recorded(world: World, kind: str) -> int:
    with tenancy.enter(world.acme.id):
        return Event.objects.filter(kind=kind).count()


def test_a3_a_read_whose_transaction_fails_is_recorded_by_the_next(world: World) -> None:
    alice = world.alice.as_actor()

    def look(*, fails: bool = False) -> None:
        with tenancy.enter(world.acme.id):
            record_read(actor=alice, target=world.acme)
            if fails:
                raise Lost

    with suppress(Lost):
        look(fails=True)
    assert recorded(world, "audit.read") == 0
    look()
    look()
    assert recorded(world, "audit.read") == 1


def test_a2_a_denial_whose_transaction_fails_is_recorded_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    denial = Denial(
        world.acme.id, world.bob.as_actor(), "organization.rename", world.acme.as_target(), "role"
    )
    real = append

    def append_and_die(*arguments: object, **facts: object) -> None:
        real(*arguments, **facts)  # type: ignore[arg-type]
        raise Lost

    monkeypatch.setattr(denials, "append", append_and_die)
    with suppress(Lost):
        denials.record(denial)
    assert recorded(world, "access.denied") == 0
    monkeypatch.setattr(denials, "append", real)
    denials.record(denial)
    denials.record(denial)
    assert recorded(world, "access.denied") == 1


def test_a_refused_sign_in_that_was_not_recorded_is_recorded_next(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = f"test_{uuid4().hex[:8]}"
    real = sessions._tell_refusal
    monkeypatch.setattr(sessions, "_tell_refusal", lambda *_: (_ for _ in ()).throw(Lost))
    with suppress(Lost):
        sessions.refuse_sign_in(reason=reason)
    monkeypatch.setattr(sessions, "_tell_refusal", real)
    for _ in range(2):
        sessions.refuse_sign_in(reason=reason)
    with tenancy.enter(tenancy.PLATFORM):
        told = Event.objects.filter(kind="session.refused", facts__reason=reason)
        assert told.count() == 1


def test_two_at_the_same_moment_record_twice_rather_than_never() -> None:
    window = Window("test", (uuid4().hex,), 60)
    with transaction.atomic():
        assert not window.is_recorded()
        window.mark_after_commit()
        assert not Window("test", window.parts, 60).is_recorded(), "another sees no mark before the commit"
    assert window.is_recorded()
    assert not Window("test", (uuid4().hex,), 60).is_recorded()
