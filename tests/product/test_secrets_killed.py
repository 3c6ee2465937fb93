"""Dying at any line of a write loses nothing: the rows and the comparison with the store bring it to its end (S4, W11)."""

from collections.abc import Callable
from typing import Any

import pytest

from envforge import tenancy
from envforge.errors import Conflict, Unavailable
from envforge.secret_value import SecretValue
from secrets_ref import keys, operations, reconcile, ssm, writes
from secrets_ref.models import Secret, Store
from tests.product.store import again, delete, make_due, root, rotate, set_secret, stored, told, versions
from tests.product.world import World


class Killed(BaseException):
    """The process is gone: nothing in it catches this."""


# Where the process dies, in the order of a write.
STEPS: dict[str, tuple[Any, str, bool]] = {
    "after the row": (operations, "_put", False),
    "before the key": (keys, "_find_or_make", False),
    "between making the key and naming it": (ssm, "name_key", False),
    "between naming the key and recording it": (ssm, "name_key", True),
    "before the value is stored": (ssm, "put", False),
    "after the value is stored": (ssm, "put", True),
    "before it is recorded": (writes, "finish", False),
}


def killed_at(patch: pytest.MonkeyPatch, step: str, act: Callable[[], object]) -> None:
    place, name, after = STEPS[step]
    real = getattr(place, name)

    def die(*args: Any, **kwargs: Any) -> None:
        if after:
            real(*args, **kwargs)
        raise Killed

    with patch.context() as here:
        here.setattr(place, name, die)
        with pytest.raises(Killed):
            act()


def organization_keys(world: World) -> int:
    pages = root("kms").get_paginator("list_keys").paginate()
    wanted = {"TagKey": "envforge-org", "TagValue": world.acme.id.hex}
    listed = [one["KeyId"] for page in pages for one in page["Keys"]]
    return sum(wanted in root("kms").list_resource_tags(KeyId=one)["Tags"] for one in listed)


@pytest.mark.parametrize("step", STEPS)
def test_killed_while_setting_then_set_again(
    step: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.acme  # noqa: B018 - made before anything dies
    killed_at(monkeypatch, step, lambda: set_secret(world, key="one"))
    make_due(world.acme.id)
    with tenancy.enter(world.acme.id):
        Store.objects.filter(key_leased_until__isnull=False).update(key_leased_until=None)
    secret = set_secret(world, value="first", key="one")
    assert stored(secret.path) == "first"
    reconcile.compare(world.acme.id)
    assert [kind for kind, _, _ in told(world)] == ["secret.set"]
    assert again(world, secret).drift == ""
    assert organization_keys(world) == 1


@pytest.mark.parametrize("step", [step for step in STEPS if "key" not in step])
def test_killed_while_rotating_and_never_seen_again(
    step: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison says what became of it: a value that arrived is Adam's, with his event; one that did not is lost."""
    secret, adam = set_secret(world), world.adam

    def act() -> None:
        operations.rotate_secret(
            actor=adam.as_actor(), org_id=world.acme.id, secret_id=secret.id, value=SecretValue("second")
        )

    killed_at(monkeypatch, step, act)
    arrived = stored(secret.path) == "second"
    assert arrived == (step in {"after the value is stored", "before it is recorded"})
    reconcile.compare(world.acme.id)
    assert again(world, secret).version == 1, "its writer may still be at work"
    make_due(world.acme.id)
    reconcile.compare(world.acme.id)
    assert again(world, secret).version == (2 if arrived else 1)
    assert again(world, secret).drift == ""
    assert versions(world)[1] == ((2, "rotated", "written") if arrived else (None, "rotated", "lost"))
    rotated = [one for one in told(world) if one[0] == "secret.rotated"]
    assert rotated == ([("secret.rotated", "Adam", {"version": 2})] if arrived else [])
    assert not [one for one in told(world) if one[0] == "secret.drifted"]


def test_killed_with_a_first_value_that_never_arrived(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.acme  # noqa: B018
    killed_at(monkeypatch, "before the value is stored", lambda: set_secret(world))
    make_due(world.acme.id)
    reconcile.compare(world.acme.id)
    with tenancy.enter(world.acme.id):
        secret = Secret.objects.get()
    assert (secret.version, versions(world)) == (None, [(None, "set", "lost")])
    assert set_secret(world, value="now").id == secret.id
    assert stored(secret.path) == "now"


@pytest.mark.parametrize("step", ["before", "after"])
def test_killed_while_deleting(step: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = set_secret(world)
    real = ssm.delete

    def die(path: str) -> None:
        if step == "after":
            real(path)
        raise Killed

    with monkeypatch.context() as here:
        here.setattr(ssm, "delete", die)
        with pytest.raises(Killed):
            delete(world, secret)
    # Whoever asked is known from then on, whatever becomes of the asking process.
    assert ("secret.deletion_asked", "Alice", {}) in told(world)
    assert ("secret.deleted", "Alice", {}) not in told(world)
    make_due(world.acme.id)
    reconcile.compare(world.acme.id)
    assert again(world, secret).deleted_at is not None
    assert not root("ssm").get_parameters(Names=[secret.path])["Parameters"]
    assert [one for one in told(world) if one[0] == "secret.deleted"] == [("secret.deleted", "Alice", {})]


def test_two_writers_one_dies_and_each_version_is_whose_it_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, adam = set_secret(world), world.adam
    killed_at(
        monkeypatch,
        "after the value is stored",
        lambda: operations.rotate_secret(
            actor=adam.as_actor(), org_id=world.acme.id, secret_id=secret.id, value=SecretValue("adam's")
        ),
    )
    assert rotate(world, secret, "alice's").version == 3
    make_due(world.acme.id)
    reconcile.compare(world.acme.id)
    assert sorted(told(world)[1:], key=lambda one: one[2]["version"]) == [
        ("secret.rotated", "Adam", {"version": 2}),
        ("secret.rotated", "Alice", {"version": 3}),
    ]
    assert again(world, secret).changed_by == "Alice"


def test_deleted_while_its_value_was_on_its_way(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    secret, real = set_secret(world), ssm.put

    def slowly(*args: Any, **kwargs: Any) -> int:
        make_due(world.acme.id)
        delete(world, secret)
        return real(*args, **kwargs)

    monkeypatch.setattr(ssm, "put", slowly)
    with pytest.raises(Conflict, match="deleted meanwhile"):
        rotate(world, secret)
    assert not root("ssm").get_parameters(Names=[secret.path])["Parameters"]


def test_while_the_key_is_being_made_nothing_is_left_half_done(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "WAIT_S", 0.2)
    killed_at(monkeypatch, "between making the key and naming it", lambda: set_secret(world))
    with pytest.raises(Unavailable, match="is being made"):
        set_secret(world, "OTHER")
    with tenancy.enter(world.acme.id):
        assert not Secret.objects.filter(name="OTHER").exists()
