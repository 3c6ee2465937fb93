"""Reads PostgreSQL's own catalogue and names every table, partition, function, view and grant that leaves a hole in the
wall between organizations (THREATS N1)."""

from collections.abc import Iterator

import psycopg

# Tables that belong to no organization, and why.
PLATFORM_TABLES = {
    "audit_signing_key": "public keys, for everybody",
    "auth_group": "Django's, unused",
    "auth_group_permissions": "Django's, unused",
    "auth_permission": "Django's, unused",
    "devlinks_gateway": "gateway processes, which lead to every organization",
    "devlinks_gatewaytoken": "theirs, by the digest of an unguessable token",
    "devlinks_linkkey": "public keys, for every gateway",
    "devlinks_purge": "ids and words of ours, told to every gateway",
    "devlinks_purgereceipt": "numbers and times of gateways",
    "devlinks_revision": "one number",
    "django_content_type": "Django's",
    "django_migrations": "Django's",
    "django_session": "sessions, by unguessable key",
    "hosts_orphan": "instances that no organization owns",
    "hosts_spentnonce": "nonces that were used, by digest, before it is known whose they are",
    "orgs_consolesession": "a person's, by the digest of an unguessable key",
    "orgs_staffgrant": "EnvForge's own staff",
    "orgs_person": "people belong to no organization",
}
ORGANIZATION = "orgs_organization"
# History outlives the organization it tells of.
WITHOUT_ORGANIZATION_KEY = {"audit_event", "audit_chain_head", "audit_checkpoint"}
TENANT_QUAL = "({key} = ( SELECT (NULLIF(current_setting('envforge.org_id'::text, true), ''::text))::uuid AS \"nullif\"))"
OTHER_POLICIES = {
    ("audit_event", "platform_append", "a", "public"),
    ("audit_event", "sealer_reads", "r", "envforge_sealer"),
    ("audit_event", "sealer_seals", "w", "envforge_sealer"),
    ("audit_chain_head", "sealer", "*", "envforge_sealer"),
    ("audit_checkpoint", "sealer", "*", "envforge_sealer"),
}
# What support's role sees outside of a visit (N3): never a name, an address, free text or a digest.
SUPPORT_SEES = {
    "orgs_organization": {"id", "created_at"},
    "orgs_membership": {"id", "org_id"},
    "orgs_supportvisit": {"id", "org_id", "person_id", "entered_at", "until", "left_at"},
    "orgs_staffgrant": {"id", "person_id", "granted_at", "expires_at", "ended_at"},
    "audit_chain_head": {"org_id", "seq", "signed_seq", "signed_at"},
    "devlinks_devlink": {
        *("id", "org_id", "workspace_id", "issued_at", "expires_at", "expired_at", "revoked_at"),
        *("first_used_at", "last_used_at", "wakes_spent"),
    },
    "devlinks_gateway": {
        *("id", "version", "registered_at", "heard_at", "leased_until", "acknowledged", "left_at"),
    },
    "hosts_host": {
        *("id", "org_id", "role", "size", "wanted", "wanted_at", "wanted_cause", "observed", "observed_at"),
        *(
            "mend",
            "mend_cause",
            "generation",
            "due_at",
            "attempts",
            "failures",
            "trouble",
            "instance_id",
            "zone",
        ),
        *(
            "image",
            "running_since",
            "joined_at",
            "heard_at",
            "missing_walls",
            "unused_since",
            "created_at",
            "ended_at",
        ),
    },
    "hosts_placement": {"id", "org_id", "host_id", "generation", "began_at", "ended_at"},
    "hosts_orphan": {"instance_id", "state", "tagged_org", "tagged_host", "launched_at", "found_at"},
    "secrets_ref_secret": {"id", "org_id"},
    "secrets_ref_store": {"id", "org_id", "compared_at"},
    "workspaces_workspace": {
        *("id", "org_id", "project_id", "wanted", "wanted_at", "opened_at", "removed_at"),
        *("due_at", "attempts"),
    },
    "workspaces_runtime": {
        *("id", "org_id", "workspace_id", "wanted", "wanted_at", "wanted_cause", "observed", "observed_at"),
        *("epoch", "size", "active_at", "sleep_at", "trouble_word", "due_at", "attempts", "host_id"),
    },
    "workspaces_shell": {
        *("id", "org_id", "workspace_id", "wanted", "observed", "observed_at"),
        *("due_at", "attempts", "host_id"),
    },
}
# Numbers that count up; whoever may take the next one sees no row.
SEQUENCES = {"hosts_command_position", "hosts_workspace_number"}
APP_MAY = {"SELECT", "INSERT", "UPDATE", "DELETE"}


def holes(db: psycopg.Connection) -> list[str]:
    """A sentence for each hole; empty where the wall stands."""
    return sorted(
        [
            *_tables(db),
            *_relations(db),
            *_partitions(db),
            *_grants(db),
            *_functions(db),
            *_views(db),
            *_roles(db),
        ]
    )


def _tables(db: psycopg.Connection) -> Iterator[str]:
    rows = db.execute(
        """
        SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity, c.relispartition,
               (SELECT a.attnotnull FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'org_id' AND NOT a.attisdropped),
               EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'id'),
               ARRAY(SELECT pg_get_constraintdef(k.oid) FROM pg_constraint k WHERE k.conrelid = c.oid)
        FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'f', 'm')
        """
    ).fetchall()
    for table, walled, partition, org_not_null, has_id, constraints in rows:
        if table in PLATFORM_TABLES:
            continue
        key = "id" if table == ORGANIZATION else "org_id"
        if key == "org_id" and org_not_null is None:
            yield f"{table}: neither a tenant table (no org_id) nor a known platform table"
            continue
        if key == "org_id" and not org_not_null:
            yield f"{table}: org_id may be NULL"
        if not walled:
            yield f"{table}: row level security is not enabled and forced"
        yield from _policies(db, table, key, partition=partition)
        if key == "id" or partition or table in WITHOUT_ORGANIZATION_KEY - {"audit_checkpoint"}:
            continue
        if has_id and "UNIQUE (id, org_id)" not in constraints:
            yield f"{table}: no UNIQUE (id, org_id) for others to refer to"
        if table not in WITHOUT_ORGANIZATION_KEY and not any(
            one.startswith("FOREIGN KEY (org_id) REFERENCES orgs_organization(id)") for one in constraints
        ):
            yield f"{table}: org_id does not have to name an organization"


def _policies(db: psycopg.Connection, table: str, key: str, *, partition: bool) -> Iterator[str]:
    rows = db.execute(
        """
        SELECT polname, polcmd::text, polpermissive, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid),
               (SELECT coalesce(string_agg(r.rolname, ','), 'public') FROM pg_roles r WHERE r.oid = ANY(polroles))
        FROM pg_policy WHERE polrelid = %s::regclass
        """,
        [table],
    ).fetchall()
    expected = TENANT_QUAL.format(key=key)
    tenant = [row for row in rows if row[0] == "tenant"]
    if not tenant:
        yield f"{table}: no tenant policy"
    for name, command, permissive, qual, check, roles in rows:
        if name == "tenant":
            if qual != expected or (check or expected) != expected or command != "*" or not permissive:
                yield f"{table}: its tenant policy is not the usual one"
        elif not permissive:
            # Restrictive: it only takes away of what the others give.
            continue
        elif (name, command, roles) == ("lookup", "r", "envforge_lookup") or (
            table in SUPPORT_SEES and (name, command, roles) == ("support", "r", "envforge_support")
        ):
            continue
        elif (table, name, command, roles) not in OTHER_POLICIES or partition:
            yield f"{table}: unknown policy {name} for {roles}"


def _relations(db: psycopg.Connection) -> Iterator[str]:
    rows = db.execute(
        """
        WITH keys AS (
            SELECT k.conrelid, k.confrelid, ARRAY(
                SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u (num, pos)
                JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num ORDER BY u.pos) AS columns
            FROM pg_constraint k WHERE k.contype = 'f' AND k.connamespace = 'public'::regnamespace),
        tenant AS (SELECT attrelid AS oid FROM pg_attribute WHERE attname = 'org_id' AND NOT attisdropped)
        SELECT one.conrelid::regclass::text, one.columns[1] FROM keys one
        WHERE one.conrelid IN (SELECT oid FROM tenant) AND one.confrelid IN (SELECT oid FROM tenant) AND cardinality(one.columns) = 1
          AND NOT EXISTS (SELECT FROM keys two WHERE two.conrelid = one.conrelid AND two.confrelid = one.confrelid
                          AND two.columns = ARRAY[one.columns[1], 'org_id'])
        """
    ).fetchall()
    for table, column in rows:
        yield f"{table}.{column}: could point into another organization (no foreign key on ({column}, org_id))"


def _partitions(db: psycopg.Connection) -> Iterator[str]:
    rows = db.execute(
        """
        SELECT c.relname, g.grantee::regrole::text, g.privilege_type
        FROM pg_class c, LATERAL aclexplode(c.relacl) g WHERE c.relispartition AND g.grantee <> c.relowner
          AND c.relnamespace = 'public'::regnamespace
        """
    ).fetchall()
    for table, grantee, privilege in rows:
        yield f"{table}: a partition, yet {grantee} has {privilege} on it"


def _grants(db: psycopg.Connection) -> Iterator[str]:
    tables = db.execute(
        """
        SELECT c.relname, coalesce(r.rolname, 'public'), g.privilege_type FROM pg_class c, LATERAL aclexplode(c.relacl) g
        LEFT JOIN pg_roles r ON r.oid = g.grantee
        WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relispartition AND g.grantee <> c.relowner
        """
    ).fetchall()
    for table, role, privilege in tables:
        # Counting on tells nothing of what was counted.
        if table in SEQUENCES and (role, privilege) == ("envforge_app", "USAGE"):
            continue
        sealer_writes = (
            role == "envforge_sealer"
            and table.startswith("audit_")
            and privilege in {"SELECT", "INSERT", "UPDATE"}
        )
        counts = role == "envforge_app" and privilege == "USAGE" and table in SEQUENCES
        if not (role == "envforge_app" and privilege in APP_MAY) and not sealer_writes and not counts:
            yield f"{table}: {role} has {privilege} on the whole table"
    columns = db.execute(
        """
        SELECT c.relname, a.attname, coalesce(r.rolname, 'public'), g.privilege_type
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid, LATERAL aclexplode(a.attacl) g LEFT JOIN pg_roles r ON r.oid = g.grantee
        WHERE c.relnamespace = 'public'::regnamespace
        """
    ).fetchall()
    for table, column, role, privilege in columns:
        reads = role == "envforge_lookup" and privilege == "SELECT"
        tells = (
            role == "envforge_app"
            and table == "audit_event"
            and privilege == "INSERT"
            and column not in {"seq", "hash", "sealed_at"}
        )
        seals = role == "envforge_sealer" and table.startswith("audit_") and privilege == "UPDATE"
        # Fewer columns than the whole table, which the application may be granted as well.
        changes = role == "envforge_app" and not table.startswith("audit_") and privilege == "UPDATE"
        sees = (
            role == "envforge_support"
            and privilege == "SELECT"
            and column in SUPPORT_SEES.get(table, frozenset())
        )
        if not (reads or tells or seals or changes or sees):
            yield f"{table}.{column}: {role} has {privilege} on it"


def _functions(db: psycopg.Connection) -> Iterator[str]:
    rows = db.execute(
        """
        SELECT n.nspname, p.proname, p.prosecdef, p.proowner::regrole::text, coalesce(array_to_string(p.proconfig, ','), ''),
               p.prorettype::regtype::text, has_function_privilege('envforge_app', p.oid, 'EXECUTE'),
               has_function_privilege('envforge_support', p.oid, 'EXECUTE'),
               p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) g WHERE g.grantee = 0)
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname IN ('public', 'lookup')
        """
    ).fetchall()
    for schema, name, definer, owner, config, returns, app_may, support_may, public_may in rows:
        if definer and not config.startswith("search_path=pg_catalog, pg_temp"):
            yield f"{schema}.{name}: runs as its owner with a search_path that is not pinned"
        if schema == "lookup":
            if owner != "envforge_lookup":
                yield f"lookup.{name}: belongs to {owner}"
            if returns != "uuid":
                yield f"lookup.{name}: answers {returns}, and look-ups answer ids alone"
        elif definer and app_may:
            yield f"{schema}.{name}: runs as its owner, and the application may call it"
        if definer and support_may:
            yield f"{schema}.{name}: runs as its owner, and support may call it"
        if definer and public_may:
            yield f"{schema}.{name}: runs as its owner, and everybody may call it"


def _views(db: psycopg.Connection) -> Iterator[str]:
    rows = db.execute(
        """
        SELECT relname, relkind::text FROM pg_class WHERE relkind IN ('v', 'm') AND relnamespace IN ('public'::regnamespace, 'lookup'::regnamespace)
          AND NOT (relkind = 'v' AND coalesce(array_to_string(reloptions, ',') ~ 'security_invoker=(true|on)', false))
        """
    ).fetchall()
    for view, _kind in rows:
        yield f"{view}: a view that reads with its owner's rights"


def _roles(db: psycopg.Connection) -> Iterator[str]:
    rows = db.execute(
        """
        SELECT r.rolname, r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication,
               (SELECT count(*) FROM pg_class c WHERE c.relowner = r.oid), has_schema_privilege(r.oid, 'public', 'CREATE'),
               ARRAY(SELECT m.roleid::regrole::text FROM pg_auth_members m WHERE m.member = r.oid)
        FROM pg_roles r WHERE r.rolname IN ('envforge_app', 'envforge_sealer', 'envforge_support', 'envforge_lookup')
        """
    ).fetchall()
    for role, mighty, owned, creates, memberships in rows:
        if mighty:
            yield f"{role}: has rights that pass row level security"
        if owned:
            yield f"{role}: owns {owned} tables, and an owner may drop their policies"
        if creates:
            yield f"{role}: may create in the schema public"
        if memberships:
            yield f"{role}: is a member of {', '.join(memberships)}"
