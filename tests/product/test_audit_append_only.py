"""E1: what is told stays told. Grants and triggers hold against the application, the sealer and the tables' owner."""

import pytest
from django.db import DatabaseError, connections, transaction

from envforge import tenancy
from tests.product.chains import seal
from tests.product.world import World

EVENT_COLUMNS = "id, org_id, at, kind, actor_kind, actor_id, actor_label, target_kind, target_id, target_label, request_id"
SEALED_INSERT = (
    f"INSERT INTO audit_event ({EVENT_COLUMNS}, seq, hash, sealed_at) "
    "SELECT gen_random_uuid(), org_id, at, kind, actor_kind, actor_id, actor_label, target_kind, target_id, target_label, request_id, "
    "1, '\\x00', now() FROM audit_event LIMIT 1"
)


def attempt(alias: str, statement: str) -> None:
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_event SET kind = 'other'",
        "UPDATE audit_event SET seq = 9, hash = '\\x00', sealed_at = now()",
        "DELETE FROM audit_event",
        SEALED_INSERT,
        "UPDATE audit_chain_head SET seq = 0",
        "INSERT INTO audit_chain_head (org_id, seq, hash, signed_seq) VALUES (gen_random_uuid(), 0, '\\x00', 0)",
        "DELETE FROM audit_checkpoint",
        "INSERT INTO audit_signing_key (key_id, pem, first_used_at) VALUES ('mine', 'mine', now())",
        "DELETE FROM audit_signing_key",
        "SELECT audit_make_partition(current_date)",
    ],
)
def test_e1_the_application_may_only_add(world: World, statement: str) -> None:
    with pytest.raises(DatabaseError, match="permission denied"), tenancy.enter(world.acme.id):
        attempt("default", statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_event SET kind = 'other'",
        "UPDATE audit_event SET facts = '{}'",
        "DELETE FROM audit_event",
        f"INSERT INTO audit_event ({EVENT_COLUMNS}) SELECT {EVENT_COLUMNS} FROM audit_event",
        "TRUNCATE audit_event",
        "DELETE FROM audit_checkpoint",
        "UPDATE audit_checkpoint SET signature = '\\x00'",
        "UPDATE audit_signing_key SET pem = 'mine'",
        "DROP TABLE audit_event",
        "SELECT * FROM orgs_membership",
        "SELECT * FROM orgs_person",
        "SELECT * FROM django_session",
        "SELECT lookup.organizations_of_person(gen_random_uuid())",
    ],
)
def test_e1_the_sealer_may_only_seal(world: World, statement: str) -> None:
    assert world.acme
    with pytest.raises(DatabaseError, match="permission denied|must be owner"):
        attempt("sealer", statement)


def test_e1_what_is_sealed_is_sealed_once(world: World) -> None:
    assert world.acme
    seal()
    with transaction.atomic(using="sealer"), connections["sealer"].cursor() as cursor:
        cursor.execute(
            "UPDATE audit_event SET seq = 1, hash = '\\x00', sealed_at = now() WHERE org_id = %s",
            [world.acme.id],
        )
        assert cursor.rowcount == 0, "a sealed row is out of the sealer's reach"


@pytest.mark.parametrize(
    "assignment", ["kind = 'other'", "seq = 9", "seq = NULL, hash = NULL, sealed_at = NULL", "facts = '{}'"]
)
def test_e1_the_owner_is_stopped_by_triggers(world: World, assignment: str) -> None:
    assert world.acme
    seal()
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(using="owner"),
        connections["owner"].cursor() as cursor,
    ):
        cursor.execute("SELECT set_config('envforge.org_id', %s, true)", [str(world.acme.id)])
        cursor.execute(f"UPDATE audit_event SET {assignment}")


def test_e1_the_owner_cannot_delete(world: World) -> None:
    assert world.acme
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(using="owner"),
        connections["owner"].cursor() as cursor,
    ):
        cursor.execute("SELECT set_config('envforge.org_id', %s, true)", [str(world.acme.id)])
        cursor.execute("DELETE FROM audit_event")


def test_e1_nobody_begins_sealed(world: World) -> None:
    assert world.acme
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(using="owner"),
        connections["owner"].cursor() as cursor,
    ):
        cursor.execute("SELECT set_config('envforge.org_id', %s, true)", [str(world.acme.id)])
        cursor.execute(SEALED_INSERT)
