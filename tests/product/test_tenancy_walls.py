"""N1: no table, partition, function, view or grant leaves a hole between organizations; and the inspector sees one."""

import psycopg
import pytest
from django.apps import apps

from envforge.tenancy.models import TenantModel
from tests.product.walls import PLATFORM_TABLES, holes


def test_n1_the_wall_stands(admin: psycopg.Connection) -> None:
    assert holes(admin) == []


def test_n1_every_tenant_model_is_a_tenant_table() -> None:
    tenant = {model._meta.db_table for model in apps.get_models() if issubclass(model, TenantModel)}
    assert tenant
    assert not tenant & PLATFORM_TABLES.keys()


ROGUES = {
    "CREATE TABLE notes (id uuid PRIMARY KEY, text text)": "notes: neither a tenant table (no org_id) nor a known platform table",
    "CREATE TABLE notes (id uuid PRIMARY KEY, org_id uuid)": "notes: row level security is not enabled and forced",
    "CREATE TABLE notes (id uuid PRIMARY KEY, org_id uuid NOT NULL); ALTER TABLE notes ENABLE ROW LEVEL SECURITY": (
        "notes: row level security is not enabled and forced"
    ),
    "DROP POLICY tenant ON orgs_membership; CREATE POLICY tenant ON orgs_membership USING (true)": (
        "orgs_membership: its tenant policy is not the usual one"
    ),
    "CREATE POLICY open ON orgs_membership USING (true)": "orgs_membership: unknown policy open for public",
    "ALTER TABLE orgs_membership ALTER org_id DROP NOT NULL": "orgs_membership: org_id may be NULL",
    "ALTER TABLE orgs_rolegrant DROP CONSTRAINT orgs_rolegrant_membership_id_org": (
        "orgs_rolegrant.membership_id: could point into another organization (no foreign key on (membership_id, org_id))"
    ),
    "ALTER TABLE orgs_rolegrant DROP CONSTRAINT orgs_rolegrant_org_fk": "orgs_rolegrant: org_id does not have to name an organization",
    "GRANT SELECT ON audit_event_default TO envforge_app": "audit_event_default: a partition, yet envforge_app has SELECT on it",
    "ALTER TABLE audit_event_default NO FORCE ROW LEVEL SECURITY": "audit_event_default: row level security is not enabled and forced",
    "GRANT TRUNCATE ON orgs_membership TO envforge_app": "orgs_membership: envforge_app has TRUNCATE on the whole table",
    "GRANT SELECT ON orgs_membership TO PUBLIC": "orgs_membership: public has SELECT on the whole table",
    "GRANT SELECT ON orgs_membership TO envforge_lookup": "orgs_membership: envforge_lookup has SELECT on the whole table",
    "GRANT INSERT (seq) ON audit_event TO envforge_app": "audit_event.seq: envforge_app has INSERT on it",
    "CREATE FUNCTION public.peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM public.orgs_membership'": (
        "public.peek: runs as its owner, and the application may call it"
    ),
    "ALTER FUNCTION lookup.organization_by_slug RESET search_path": (
        "lookup.organization_by_slug: runs as its owner with a search_path that is not pinned"
    ),
    "CREATE FUNCTION lookup.name_of(uuid) RETURNS text LANGUAGE sql AS 'SELECT $1::text'": (
        "lookup.name_of: answers text, and look-ups answer ids alone"
    ),
    "GRANT SELECT (name) ON orgs_organization TO envforge_support": "orgs_organization.name: envforge_support has SELECT on it",
    "GRANT SELECT (key_digest) ON orgs_consolesession TO envforge_support": (
        "orgs_consolesession.key_digest: envforge_support has SELECT on it"
    ),
    "CREATE POLICY support ON orgs_rolegrant FOR SELECT TO envforge_support USING (true)": (
        "orgs_rolegrant: unknown policy support for envforge_support"
    ),
    "GRANT USAGE ON SCHEMA lookup TO envforge_support; GRANT EXECUTE ON FUNCTION lookup.organization_by_slug TO envforge_support": (
        "lookup.organization_by_slug: runs as its owner, and support may call it"
    ),
    "CREATE VIEW everything AS SELECT * FROM orgs_membership": "everything: a view that reads with its owner's rights",
    "ALTER ROLE envforge_app BYPASSRLS": "envforge_app: has rights that pass row level security",
    "GRANT envforge_owner TO envforge_app": "envforge_app: is a member of envforge_owner",
    "GRANT CREATE ON SCHEMA public TO envforge_app": "envforge_app: may create in the schema public",
}


@pytest.mark.parametrize("rogue", ROGUES)
def test_n1_a_hole_is_named(admin: psycopg.Connection, rogue: str) -> None:
    for statement in rogue.split("; "):
        admin.execute(statement)
    assert ROGUES[rogue] in holes(admin)
