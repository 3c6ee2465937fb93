"""Set, rotate, delete: the value reaches the store, the rows know where from, and dying anywhere loses nothing (S1, S4)."""

import threading
from collections.abc import Callable

import pytest
from django.db import connections

from envforge import tenancy
from envforge.errors import Conflict, EnvForgeError, Invalid, NotAllowed, NotVisible, Unavailable
from envforge.secret_value import SecretValue
from orgs.roles import Role
from secrets_ref import keys, operations, reconcile, ssm
from secrets_ref.models import Secret
from secrets_ref.troubles import CODES, WORDS, Trouble
from tests.product.store import (
    again,
    crooked_aws,
    delete,
    make_due,
    root,
    rotate,
    set_secret,
    stored,
    told,
    versions,
)
from tests.product.world import World


def test_set_rotate_delete(world: World) -> None:
    secret = set_secret(world)
    assert (secret.version, secret.changed_by) == (1, "Alice")
    assert secret.path == f"/envforge/{world.acme.id.hex}/org/STRIPE_KEY"
    assert stored(secret.path) == "first"
    assert rotate(world, secret).version == 2
    assert stored(secret.path) == "second"
    delete(world, secret)
    delete(world, secret)
    assert not root("ssm").get_parameters(Names=[secret.path])["Parameters"]
    assert told(world) == [
        ("secret.set", "Alice", {"version": 1}),
        ("secret.rotated", "Alice", {"version": 2}),
        ("secret.deletion_asked", "Alice", {}),
        ("secret.deleted", "Alice", {}),
    ]
    # The name is free again, and its history its own.
    assert set_secret(world, value="third").version == 1


def test_k1_each_organization_has_one_key_and_values_lie_under_it(world: World) -> None:
    secret, other = set_secret(world), set_secret(world, "OTHER")
    mine = operations.set_secret(
        actor=world.mallory.as_actor(), org_id=world.mallet.id, name="STRIPE_KEY", value=SecretValue("x")
    )
    found = {
        one.path: one.key for path in (secret.path, other.path, mine.path) if (one := ssm.describe(path))
    }
    assert found[secret.path] == found[other.path] != found[mine.path]
    tags = root("kms").list_resource_tags(KeyId=found[secret.path])["Tags"]
    assert tags == [{"TagKey": "envforge-org", "TagValue": world.acme.id.hex}]


@pytest.mark.parametrize("name", ["", "1X", "a b", "a/b", "../X", "x" * 65, "sk-" + "a" * 30, "a\n"])
def test_names_that_cannot_be_used(name: str, world: World) -> None:
    with pytest.raises(Invalid) as refused:
        set_secret(world, name)
    assert set(refused.value.fields) == {"name"}


@pytest.mark.parametrize("value", ["", "x" * 8193, "é" * 4097, "\ud800"])
def test_values_that_cannot_be_used(value: str, world: World) -> None:
    with pytest.raises(Invalid) as refused:
        set_secret(world, value=value)
    assert set(refused.value.fields) == {"value"}
    assert not versions(world)


def test_large_values_and_line_ends_arrive_as_they_are(world: World) -> None:
    for name, value in (("LARGE", "x" * 8192), ("LINES", " a\nb\n\n")):
        assert stored(set_secret(world, name, value).path) == value


def test_setting_again_is_a_conflict_and_rotating_needs_one(world: World) -> None:
    secret = set_secret(world)
    with pytest.raises(Conflict, match="Rotate it"):
        set_secret(world, value="other")
    assert stored(secret.path) == "first"
    delete(world, secret)
    with pytest.raises(NotVisible):
        rotate(world, secret)


def test_who_may(world: World) -> None:
    secret = set_secret(world)
    maintainer = world.member("Mona", Role.DEVELOPER)
    for person, error in (
        (world.bob, NotAllowed),
        (maintainer, NotAllowed),
        (world.vera, NotVisible),
        (world.bill, NotVisible),
        (world.mallory, NotVisible),
    ):
        actor, org_id = person.as_actor(), world.acme.id
        with pytest.raises(error):
            operations.rotate_secret(
                actor=actor, org_id=org_id, secret_id=secret.id, value=SecretValue("stolen")
            )
        with pytest.raises(error):
            operations.delete_secret(actor=actor, org_id=org_id, secret_id=secret.id)
        with pytest.raises((NotAllowed, NotVisible)):
            operations.set_secret(actor=actor, org_id=org_id, name="NEW", value=SecretValue("x"))
    with pytest.raises(NotVisible):
        operations.rotate_secret(
            actor=world.mallory.as_actor(),
            org_id=world.mallet.id,
            secret_id=secret.id,
            value=SecretValue("stolen"),
        )
    assert stored(secret.path) == "first"


def test_the_same_request_twice_is_one_change(world: World) -> None:
    first, second = (set_secret(world, key="k") for _ in range(2))
    assert first.id == second.id
    for _ in range(2):
        assert rotate(world, first, key="r").version == 2
    assert len(told(world)) == 2
    with pytest.raises(Conflict, match="another secret"):
        set_secret(world, "OTHER", key="k")


def test_the_same_request_twice_at_once_is_one_change(world: World) -> None:
    world.alice, world.acme  # noqa: B018 - made before the threads
    came: list[object] = []

    def submit() -> None:
        try:
            came.append(set_secret(world, key="double").version)
        except EnvForgeError as error:
            came.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=submit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert came == [1, 1, 1, 1]
    assert told(world) == [("secret.set", "Alice", {"version": 1})]
    assert versions(world) == [(1, "set", "written")]


def test_every_trouble_has_words_and_every_code_a_trouble() -> None:
    assert set(WORDS) == set(Trouble)
    assert set(CODES.values()) | {Trouble.REFUSED} == set(Trouble)


TROUBLES = [
    ("ThrottlingException", 400, Unavailable, "asked too often"),
    ("AccessDeniedException", 400, Unavailable, "may not do this"),
    ("InvalidKeyId", 400, Unavailable, "key of this organization's secrets is disabled"),
    ("ParameterLimitExceeded", 400, Conflict, "as many secrets as it may"),
    ("ParameterMaxVersionLimitExceeded", 400, Conflict, "as many versions"),
    ("ValidationException", 400, Invalid, "does not take this value"),
    ("SomethingNew", 400, Unavailable, "refused this"),
]


@pytest.mark.parametrize(("code", "status", "error", "words"), TROUBLES)
def test_trouble_becomes_words_and_changes_nothing(
    code: str, status: int, error: type[EnvForgeError], words: str, world: World
) -> None:
    secret = set_secret(world)
    with crooked_aws() as crooked:
        crooked.refuse("PutParameter", code, status)
        acts: tuple[Callable[[], object], ...] = (
            lambda: set_secret(world, "NEW", "canary-v"),
            lambda: rotate(world, secret, "canary-v"),
        )
        for act in acts:
            with pytest.raises(error, match=words) as refused:
                act()
            assert refused.value.__context__ is None
            assert "canary-v" not in str(refused.value)
    assert [kind for kind, _, _ in told(world)] == ["secret.set"]
    assert versions(world) == [(1, "set", "written"), (None, "rotated", "refused")]
    assert rotate(world, secret).version == 2


def test_a_disabled_key_is_said_and_enabled_again_works(world: World) -> None:
    secret = set_secret(world)
    found = ssm.describe(secret.path)
    assert found
    root("kms").disable_key(KeyId=found.key.rpartition("/")[2])
    with pytest.raises(Unavailable, match="disabled"):
        rotate(world, secret)
    root("kms").enable_key(KeyId=found.key.rpartition("/")[2])
    assert rotate(world, secret).version == 2


@pytest.mark.parametrize("act", ["set", "rotate"])
def test_no_answer_is_not_a_refusal(act: str, world: World) -> None:
    """The value is in the store and nobody was told: trying again, or the comparison, makes it one change."""
    secret = set_secret(world)
    with crooked_aws() as crooked:
        crooked.swallow("PutParameter")
        with pytest.raises(Unavailable, match="does not answer"):
            if act == "set":
                set_secret(world, "NEW", "mine")
            else:
                rotate(world, secret, "mine")
    if act == "set":
        assert stored(set_secret(world, "NEW", "mine again").path) == "mine again"
    make_due(world.acme.id)
    reconcile.compare(world.acme.id)
    assert not [one for one in told(world) if one[0] == "secret.drifted"]
    if act == "rotate":
        assert stored(secret.path) == "mine"
        assert ("secret.rotated", "Alice", {"version": again(world, secret).version}) in told(world)


def test_a_deletion_that_is_refused_is_ended_later(world: World) -> None:
    secret = set_secret(world)
    with crooked_aws() as crooked:
        crooked.refuse("DeleteParameter", "AccessDeniedException")
        with pytest.raises(Unavailable):
            delete(world, secret)
    make_due(world.acme.id)
    reconcile.compare(world.acme.id)
    assert again(world, secret).deleted_at is not None


def test_a_value_that_is_there_already_is_not_written_over(world: World) -> None:
    keys.ensure_key(world.acme.id)
    path = f"/envforge/{world.acme.id.hex}/org/STRIPE_KEY"
    root("ssm").put_parameter(Name=path, Value="theirs", Type="SecureString")
    with pytest.raises(Conflict, match="Import it"):
        set_secret(world)
    assert stored(path) == "theirs"
    with tenancy.enter(world.acme.id):
        assert not Secret.objects.exists()
