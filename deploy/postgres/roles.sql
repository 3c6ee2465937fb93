-- The roles of EnvForge, once per PostgreSQL server (16 or newer). Running it again only sets the passwords anew.
--
-- By a superuser, or by an administrator with CREATEROLE (such as the master user of a managed PostgreSQL):
--   PGOPTIONS="-c envforge.owner_password=... -c envforge.app_password=... -c envforge.sealer_password=... \
--     -c envforge.support_password=..." \
--     psql -v ON_ERROR_STOP=1 -f roles.sql postgres
-- Then: createdb -O envforge_owner envforge; psql -v ON_ERROR_STOP=1 -f database.sql envforge
--
-- envforge_owner   owns database and schema; migrations connect as this role, nothing else does
-- envforge_app     web and workers; row level security binds it
-- envforge_sealer  gives audit events their sequence number and hash; the one role that may
-- envforge_support the admin, outside of an entered organization: reads ids, states, times and counts, and no more
-- envforge_lookup  nobody logs in as it; owns the look-up functions that answer before an organization is known

DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['owner', 'app', 'sealer', 'support'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'envforge_' || role_name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS',
                           'envforge_' || role_name);
        END IF;
        EXECUTE format('ALTER ROLE %I PASSWORD %L', 'envforge_' || role_name,
                       current_setting('envforge.' || role_name || '_password'));
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'envforge_lookup') THEN
        CREATE ROLE envforge_lookup NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
    END IF;

    -- The owner may hand functions to envforge_lookup, but does not hold its rights in passing.
    GRANT envforge_lookup TO envforge_owner WITH ADMIN FALSE, INHERIT FALSE, SET TRUE;

    -- An administrator who is not a superuser must be able to create a database for the owner and work in it.
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('GRANT envforge_owner TO %I WITH INHERIT TRUE, SET TRUE', current_user);
    END IF;

    SELECT rolname INTO role_name FROM pg_roles
     WHERE rolname IN ('envforge_owner', 'envforge_app', 'envforge_sealer', 'envforge_support', 'envforge_lookup')
       AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication)
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'role % has rights that would let it pass row level security', role_name
            USING HINT = 'Take SUPERUSER, BYPASSRLS, CREATEROLE, CREATEDB and REPLICATION from it and run this again.';
    END IF;
END
$$;
