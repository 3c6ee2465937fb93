"""Random operations by members of two organizations, and raw SQL as the application role inside an entered tenancy: never
the other's rows, no hidden write (both walls; N1)."""

from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.apps import apps
from django.db import DatabaseError, connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envforge import tenancy
from envforge.errors import EnvForgeError
from orgs import operations, selectors
from orgs.models import Organization, Person
from orgs.roles import Role
from tests.product.world import World

TENANT_TABLES = sorted(
    {
        model._meta.db_table
        for model in apps.get_models()
        if any(field.name == "org_id" for field in model._meta.fields)
    }
    | {"orgs_organization"}
)


class Pair:
    """Two organizations, and a look at each of them as the superuser sees it."""

    def __init__(self, admin: psycopg.Connection) -> None:
        self.admin = admin
        world = World()
        self.ours, self.theirs = world.acme, world.mallet
        self.people = {world.acme.id: [world.alice, world.bob], world.mallet.id: [world.mallory]}

    def rows(self, org_id: UUID) -> dict[str, list[tuple[Any, ...]]]:
        found = {}
        for table in TENANT_TABLES:
            key = "id" if table == "orgs_organization" else "org_id"
            found[table] = self.admin.execute(
                f"SELECT * FROM {table} WHERE {key} = %s ORDER BY 1", [org_id]
            ).fetchall()
        self.admin.rollback()
        return found


@pytest.fixture
def pair(admin: psycopg.Connection) -> Pair:
    return Pair(admin)


def operation() -> st.SearchStrategy[tuple[Any, ...]]:
    who, where, whom = (
        st.sampled_from(["alice", "bob", "mallory"]),
        st.sampled_from(["ours", "theirs"]),
        st.sampled_from(["alice", "bob", "mallory"]),
    )
    return st.one_of(
        st.tuples(st.just("rename"), who, where, st.text(st.characters(codec="utf-8"), max_size=90)),
        st.tuples(st.just("add"), who, where, whom, st.sampled_from(list(Role))),
        st.tuples(st.just("members"), who, where),
        st.tuples(st.just("organization"), who, where),
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(operation(), max_size=12))
def test_random_operations_never_cross(admin: psycopg.Connection, steps: list[tuple[Any, ...]]) -> None:
    pair = Pair(admin)
    named: dict[str, Person] = {
        "alice": pair.people[pair.ours.id][0],
        "bob": pair.people[pair.ours.id][1],
        "mallory": pair.people[pair.theirs.id][0],
    }
    member_of = {"alice": {pair.ours.id}, "bob": {pair.ours.id}, "mallory": {pair.theirs.id}}
    for step in steps:
        actor, target = named[step[1]], getattr(pair, step[2])
        before = {org.id: pair.rows(org.id) for org in (pair.ours, pair.theirs)}
        done = _attempt(step, actor, target, named)
        after = {org.id: pair.rows(org.id) for org in (pair.ours, pair.theirs)}
        other = pair.theirs.id if target.id == pair.ours.id else pair.ours.id
        assert after[other] == before[other], f"{step} changed an organization that it did not name"
        if target.id not in member_of[step[1]]:
            assert not done, f"{step} was answered to somebody from outside"
            assert after[target.id] == before[target.id]
        elif done and step[0] == "add":
            member_of[step[3]].add(target.id)
        if (
            done
            and step[0] in {"rename", "add"}
            and _without_events(after[target.id]) != _without_events(before[target.id])
        ):
            assert len(after[target.id]["audit_event"]) > len(before[target.id]["audit_event"]), (
                f"{step} changed rows and left no event"
            )


def _attempt(step: tuple[Any, ...], actor: Person, target: Organization, named: dict[str, Person]) -> bool:
    with suppress(EnvForgeError):
        if step[0] == "rename":
            operations.rename_organization(actor=actor.as_actor(), org_id=target.id, name=step[3])
        elif step[0] == "add":
            operations.add_member(
                actor=actor.as_actor(), org_id=target.id, person=named[step[3]], role=step[4]
            )
        elif step[0] == "members":
            selectors.members(actor=actor.as_actor(), slug=target.slug)
        else:
            selectors.organization(actor=actor.as_actor(), slug=target.slug)
        return True
    return False


def _without_events(rows: dict[str, list[tuple[Any, ...]]]) -> dict[str, list[tuple[Any, ...]]]:
    return {table: found for table, found in rows.items() if not table.startswith("audit_")}


# Statements an injection might run; {table}, {other} (their organization's id), {theirs} (a row of theirs), {ours}.
SQL = [
    "SELECT * FROM {table}",
    "SELECT * FROM {table} WHERE true OR {key} = '{other}'",
    "SELECT * FROM {table} WHERE {key} = '{other}'",
    "SELECT * FROM {table} a FULL JOIN {table} b ON true",
    "WITH x AS (SELECT * FROM {table}) SELECT * FROM x UNION ALL SELECT * FROM x",
    "SELECT (SELECT to_jsonb(t) FROM {table} t WHERE {key} = '{other}' LIMIT 1)",
    "SELECT * FROM ONLY {table}",
    "SELECT json_agg(t) FROM {table} t",
    "SELECT count(*) FROM {table} WHERE {key} = '{other}'",
    "SELECT * FROM audit_event_default",
    "COPY {table} TO STDOUT",
    "UPDATE {table} SET {key} = {key} WHERE {key} = '{other}'",
    "UPDATE {table} SET {key} = '{other}'",
    "UPDATE {table} SET {key} = '{ours}'",
    "DELETE FROM {table} WHERE {key} = '{other}'",
    "DELETE FROM {table} WHERE id = '{theirs}'",
    "INSERT INTO {table} SELECT * FROM {table} WHERE {key} = '{other}'",
    "INSERT INTO orgs_membership (id, org_id, person_id, joined_at) SELECT gen_random_uuid(), '{other}', id, now() FROM orgs_person LIMIT 1",
    (
        "INSERT INTO audit_event (id, org_id, at, kind, actor_kind, actor_id, actor_label, target_kind, target_id, target_label, request_id) "
        "VALUES (gen_random_uuid(), '{other}', now(), 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x')"
    ),
    "MERGE INTO {table} t USING (SELECT '{theirs}'::uuid AS id) s ON t.id = s.id WHEN MATCHED THEN DELETE",
    "TRUNCATE {table} CASCADE",
    "LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE",
    "CREATE TEMP TABLE stolen AS SELECT * FROM {table}",
    "SELECT lookup.organizations_of_person('{theirs}')",
    "DO $$ BEGIN PERFORM * FROM {table}; END $$",
    "SELECT * FROM pg_stats WHERE tablename = '{table}'",
    "SELECT query_to_xml('SELECT * FROM {table}', true, false, '')",
    "SELECT * FROM {table} WHERE 1 / (CASE WHEN {key} = '{other}' THEN 0 ELSE 1 END) = 1",
]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(statement=st.sampled_from(SQL), table=st.sampled_from(TENANT_TABLES), data=st.data())
def test_raw_sql_never_crosses(pair: Pair, statement: str, table: str, data: st.DataObject) -> None:
    theirs_before, ours_before = pair.rows(pair.theirs.id), pair.rows(pair.ours.id)
    victim = data.draw(
        st.sampled_from([row[0] for rows in theirs_before.values() for row in rows] + [uuid4()])
    )
    key = "id" if table == "orgs_organization" else "org_id"
    text = statement.format(table=table, key=key, other=pair.theirs.id, theirs=victim, ours=pair.ours.id)
    answer = ""
    with suppress(DatabaseError), tenancy.enter(pair.ours.id), connection.cursor() as cursor:
        cursor.execute(text)
        answer = str(cursor.fetchall()) if cursor.description else ""
    if "lookup." not in text and "count(*)" not in text:
        assert str(pair.theirs.id) not in answer
        assert pair.theirs.slug not in answer
    if "count(*)" in text:
        assert answer in {"", "[(0,)]"}
    assert pair.rows(pair.theirs.id) == theirs_before
    if text.lstrip().upper().startswith(("SELECT", "WITH", "COPY", "DO")):
        assert pair.rows(pair.ours.id) == ours_before
