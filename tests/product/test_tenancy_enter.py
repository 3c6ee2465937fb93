"""The second wall as the application meets it (DESIGN 3, STACK's pitfalls)."""

import threading
from uuid import uuid4

import psycopg
import pytest
from django.db import DatabaseError, IntegrityError, connection, connections, transaction

from envforge import tenancy
from envforge.errors import TenancyError
from orgs.lookups import organization_by_slug, organizations_of_person
from orgs.models import Membership, Organization, RoleGrant
from orgs.roles import Role
from tests.product.world import World


def count(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        row: tuple[int] = cursor.fetchone()
    return row[0]


def setting() -> str | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('envforge.org_id', true)")
        row: tuple[str | None] = cursor.fetchone()
    return row[0]


def test_outside_a_tenancy_every_tenant_table_looks_empty(world: World) -> None:
    assert world.acme
    assert [
        count(table) for table in ("orgs_organization", "orgs_membership", "orgs_rolegrant", "audit_event")
    ] == [0, 0, 0, 0]


def test_inside_there_is_this_organization_and_no_other(world: World) -> None:
    assert world.mallet
    with tenancy.enter(world.acme.id):
        assert [one.slug for one in Organization.objects.all()] == [world.acme.slug]
        assert count("orgs_membership") == 1
        assert not Membership.objects.filter(org_id=world.mallet.id).exists()


def test_outside_inserts_are_refused(world: World) -> None:
    with pytest.raises(TenancyError, match="No organization is entered"):
        Membership.objects.create(person=world.bob)
    with pytest.raises(DatabaseError, match="row-level security"), transaction.atomic():
        Membership.objects.create(person=world.alice, org_id=world.acme.id)


def test_a_row_of_another_organization_cannot_be_written(world: World) -> None:
    assert world.mallet
    with pytest.raises(DatabaseError, match="row-level security"), tenancy.enter(world.acme.id):
        Membership.objects.create(person=world.mallory, org_id=world.mallet.id)
    with pytest.raises(DatabaseError, match="row-level security"), tenancy.enter(world.acme.id):
        Membership.objects.update(org_id=world.mallet.id)


def test_a_row_that_joins_two_organizations_cannot_be_stored(world: World) -> None:
    with tenancy.enter(world.mallet.id):
        theirs = Membership.objects.get()
    with (
        pytest.raises(IntegrityError, match="orgs_rolegrant_membership_id_org"),
        tenancy.enter(world.acme.id),
    ):
        RoleGrant.objects.create(membership_id=theirs.id, role=Role.OWNER)


def test_not_even_by_the_superuser(world: World, admin: psycopg.Connection) -> None:
    """The composite key holds with row level security off."""
    with tenancy.enter(world.mallet.id):
        theirs = Membership.objects.get()
    admin.execute(
        "INSERT INTO orgs_rolegrant (id, org_id, membership_id, scope, scope_id, role, granted_at) "
        "VALUES (%s, %s, %s, 'workspace', gen_random_uuid(), 'operator', now())",
        [uuid4(), world.acme.id, theirs.id],
    )
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match="orgs_rolegrant_membership_id_org"):
        admin.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_entering_again_joins_and_another_is_refused(world: World) -> None:
    assert world.mallet
    with tenancy.enter(world.acme.id):
        with tenancy.enter(world.acme.id):
            assert count("orgs_organization") == 1
        with pytest.raises(TenancyError, match="cannot be entered inside"), tenancy.enter(world.mallet.id):
            pytest.fail("entered")
        assert tenancy.current_org() == world.acme.id


def test_nothing_of_it_stays_behind(world: World) -> None:
    with tenancy.enter(world.acme.id):
        assert setting() == str(world.acme.id)
    assert setting() in {None, ""}
    with pytest.raises(TenancyError):
        tenancy.current_org()


def test_inside_an_outer_transaction_it_ends_with_the_block(world: World) -> None:
    """STACK: the setting of a released savepoint stays in force; ours does not."""
    with transaction.atomic():
        with tenancy.enter(world.acme.id):
            assert count("orgs_organization") == 1
        assert count("orgs_organization") == 0
        with pytest.raises(ZeroDivisionError), tenancy.enter(world.acme.id):
            raise ZeroDivisionError
        assert count("orgs_organization") == 0
        with tenancy.enter(world.mallet.id):
            assert count("orgs_organization") == 1


def test_a_pooled_connection_carries_nothing_to_its_next_user(world: World) -> None:
    with tenancy.enter(world.acme.id):
        assert count("orgs_organization") == 1
    seen: list[int] = []

    def another() -> None:
        seen.append(count("orgs_organization"))
        connections.close_all()

    connection.close()
    threads = [threading.Thread(target=another) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [0] * 8


def test_n1_the_owner_of_the_tables_sees_nothing_either(world: World) -> None:
    """A data migration must enter each organization: as the owner it would silently change no row."""
    assert world.acme
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM orgs_membership")
        assert cursor.fetchone() == (0,)


def test_n1_lookups_answer_ids_and_nothing_else(world: World) -> None:
    assert world.mallet
    assert organization_by_slug(world.acme.slug) == world.acme.id
    assert organization_by_slug("no-such-organization") is None
    assert organizations_of_person(world.alice.id) == [world.acme.id]
    assert organizations_of_person(uuid4()) == []


def test_n1_the_application_cannot_become_another_role() -> None:
    for role in ("envforge_lookup", "envforge_owner", "envforge_sealer"):
        with (
            pytest.raises(DatabaseError, match="permission denied to set role"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(f"SET ROLE {role}")


@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE orgs_membership",
        "TRUNCATE audit_event",
        "ALTER TABLE orgs_membership DISABLE ROW LEVEL SECURITY",
    ],
)
def test_the_application_cannot_take_the_wall_down(statement: str) -> None:
    with (
        pytest.raises(DatabaseError, match="permission denied|must be owner"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


def test_row_security_off_does_not_help(world: World) -> None:
    assert world.acme
    with (
        pytest.raises(DatabaseError, match="row-level security"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("SET LOCAL row_security = off")
        cursor.execute("SELECT count(*) FROM orgs_membership")


def test_the_policy_is_planned_once_per_query(world: World) -> None:
    """The setting is read once, by an InitPlan, and the index on org_id serves the policy."""
    with tenancy.enter(world.acme.id), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("EXPLAIN SELECT * FROM audit_event ORDER BY at DESC, id DESC LIMIT 50")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "InitPlan" in plan
    assert "Index Cond: (org_id = (InitPlan" in plan
