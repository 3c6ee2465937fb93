"""Migration operations that raise the walls: row level security, composite keys, grants, look-ups.

Every tenant table's migration contains one `Wall`; every relation added later to a walled table, one `WallRelation`.
What must be known before the organization is known is a `Lookup`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

APP_ROLE = "envforge_app"
SEALER_ROLE = "envforge_sealer"
LOOKUP_ROLE = "envforge_lookup"
SUPPORT_ROLE = "envforge_support"
ORGANIZATION_TABLE = "orgs_organization"

# A sub-select, so that the planner evaluates the setting once per query; NULLIF, since after a transaction that set
# it the setting reads as an empty string.
CURRENT_ORG = "(SELECT NULLIF(current_setting('envforge.org_id', true), '')::uuid)"


def row_security(table: str, *, key: str = "org_id") -> list[str]:
    """SQL that closes a table to everything but the entered organization's rows, its owner included."""
    return [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY tenant ON {table} USING ({key} = {CURRENT_ORG}) WITH CHECK ({key} = {CURRENT_ORG})",
    ]


class Statements(Operation):
    """A migration operation that is SQL alone; Django's model state does not know of it."""

    reduces_to_sql = True
    reversible = True

    def forwards(self, app_label: str, state: ProjectState) -> list[str]:
        raise NotImplementedError

    def backwards(self) -> list[str]:
        """What goes with its table or column needs no statement."""
        return []

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Nothing changes in the model state."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        for statement in self.forwards(app_label, to_state):
            schema_editor.execute(statement)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        for statement in self.backwards():
            schema_editor.execute(statement)


class Wall(Statements):
    """Raise both walls around the table of a model that has `org_id` (or is the organization itself: `key="id"`).

    Args:
        grants: what the application role may do with the table.
        organization_exists: whether `org_id` must name a living organization; history does without.
    """

    def __init__(
        self,
        model_name: str,
        *,
        key: str = "org_id",
        grants: Sequence[str] = ("SELECT", "INSERT", "UPDATE", "DELETE"),
        organization_exists: bool = True,
    ) -> None:
        self.model_name = model_name
        self.key = key
        self.grants = tuple(grants)
        self.organization_exists = organization_exists

    def forwards(self, app_label: str, state: ProjectState) -> list[str]:
        fields = state.apps.get_model(app_label, self.model_name)._meta.concrete_fields
        table = fields[0].model._meta.db_table
        columns = {field.column for field in fields}
        statements = row_security(table, key=self.key)
        if {"id", "org_id"} <= columns:
            statements.append(f"ALTER TABLE {table} ADD CONSTRAINT {table}_id_org UNIQUE (id, org_id)")
        if "org_id" in columns and self.organization_exists:
            statements.append(
                f"ALTER TABLE {table} ADD CONSTRAINT {table}_org_fk FOREIGN KEY (org_id) "
                f"REFERENCES {ORGANIZATION_TABLE} (id) DEFERRABLE INITIALLY DEFERRED"
            )
        statements += [
            composite_key(field)
            for field in fields
            if isinstance(field, models.ForeignKey) and is_tenant(field)
        ]
        return [*statements, f"GRANT {', '.join(self.grants)} ON {table} TO {APP_ROLE}"]

    def describe(self) -> str:
        return f"Raise the walls between organizations around {self.model_name}"


class WallRelation(Statements):
    """Keep a foreign key that was added after its table's `Wall` inside one organization."""

    def __init__(self, model_name: str, field_name: str) -> None:
        self.model_name = model_name
        self.field_name = field_name

    def forwards(self, app_label: str, state: ProjectState) -> list[str]:
        field = state.apps.get_model(app_label, self.model_name)._meta.get_field(self.field_name)
        if not isinstance(field, models.ForeignKey) or not is_tenant(field):
            raise TypeError(f"{self.model_name}.{self.field_name} is not a foreign key to a tenant table.")
        return [composite_key(field)]

    def describe(self) -> str:
        return f"Keep {self.model_name}.{self.field_name} inside one organization"


def is_tenant(field: "models.ForeignKey[Any, Any]") -> bool:
    """Whether the key's target is a tenant table."""
    target = field.related_model
    return not isinstance(target, str) and any(f.name == "org_id" for f in target._meta.get_fields())


def composite_key(field: "models.ForeignKey[Any, Any]") -> str:
    """SQL for the second foreign key, on `(id, org_id)`: a row that joins two organizations cannot be stored."""
    table, column = field.model._meta.db_table, field.column
    target = field.related_model._meta.db_table
    return (
        f"ALTER TABLE {table} ADD CONSTRAINT {table}_{column}_org FOREIGN KEY ({column}, org_id) "
        f"REFERENCES {target} (id, org_id) DEFERRABLE INITIALLY DEFERRED"
    )


@dataclass(frozen=True, slots=True)
class Reads:
    """The columns of one table that a look-up may read across organizations."""

    table: str
    columns: tuple[str, ...]


class Lookup(Statements):
    """A function `lookup.NAME` that answers ids from what is known before the organization is (N1).

    It runs as a role that cannot log in, owns no table and may read the named columns only; its search_path is pinned.

    Args:
        arguments: SQL, such as `wanted text`.
        returns: SQL, such as `uuid` or `SETOF uuid`.
        query: one SELECT over schema-qualified tables.
    """

    def __init__(
        self, name: str, *, arguments: str, returns: str, query: str, reads: Sequence[Reads]
    ) -> None:
        self.name = name
        self.arguments = arguments
        self.returns = returns
        self.query = query
        self.reads = tuple(reads)

    def forwards(self, app_label: str, state: ProjectState) -> list[str]:
        opened = [
            statement
            for read in self.reads
            for statement in (
                f"GRANT SELECT ({', '.join(read.columns)}) ON {read.table} TO {LOOKUP_ROLE}",
                f"DROP POLICY IF EXISTS lookup ON {read.table}",
                f"CREATE POLICY lookup ON {read.table} FOR SELECT TO {LOOKUP_ROLE} USING (true)",
            )
        ]
        return [
            *opened,
            f"SET LOCAL ROLE {LOOKUP_ROLE}",
            (
                f"CREATE FUNCTION lookup.{self.name}({self.arguments}) RETURNS {self.returns} LANGUAGE sql STABLE "
                f"SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $lookup$ {self.query} $lookup$"
            ),
            f"REVOKE ALL ON FUNCTION lookup.{self.name} FROM PUBLIC",
            f"GRANT EXECUTE ON FUNCTION lookup.{self.name} TO {APP_ROLE}",
            "RESET ROLE",
        ]

    def backwards(self) -> list[str]:
        return [f"SET LOCAL ROLE {LOOKUP_ROLE}", f"DROP FUNCTION lookup.{self.name}", "RESET ROLE"]

    def describe(self) -> str:
        return f"Look-up function {self.name}"


class SupportReads(Statements):
    """What support's own role sees of a table, in every organization: ids, states, times and what can be counted (N3).

    Args:
        columns: the columns it may read; never a name, an address, free text or a digest.
        walled: whether the table has row level security, and so needs a policy besides.
    """

    def __init__(self, table: str, columns: Sequence[str], *, walled: bool = True) -> None:
        self.table = table
        self.columns = tuple(columns)
        self.walled = walled

    def forwards(self, app_label: str, state: ProjectState) -> list[str]:
        grant = f"GRANT SELECT ({', '.join(self.columns)}) ON {self.table} TO {SUPPORT_ROLE}"
        policy = f"CREATE POLICY support ON {self.table} FOR SELECT TO {SUPPORT_ROLE} USING (true)"
        return [grant, policy] if self.walled else [grant]

    def backwards(self) -> list[str]:
        revoke = f"REVOKE SELECT ({', '.join(self.columns)}) ON {self.table} FROM {SUPPORT_ROLE}"  # noqa: S608 - names of ours
        return [f"DROP POLICY IF EXISTS support ON {self.table}", revoke] if self.walled else [revoke]

    def describe(self) -> str:
        return f"What support sees of {self.table}"


class PlatformTable(Statements):
    """Grants on a table that belongs to no organization (people, sessions, Django's own)."""

    def __init__(self, table: str, *, grants: Sequence[str]) -> None:
        self.table = table
        self.grants = tuple(grants)

    def forwards(self, app_label: str, state: ProjectState) -> list[str]:
        return [f"GRANT {', '.join(self.grants)} ON {self.table} TO {APP_ROLE}"]

    def backwards(self) -> list[str]:
        return [f"REVOKE {', '.join(self.grants)} ON {self.table} FROM {APP_ROLE}"]

    def describe(self) -> str:
        return f"Grants on {self.table}"
