-- Schemas and grants of one EnvForge database, which belongs to envforge_owner (see roles.sql). Safe to run again.
-- What the application may do with each table is granted by the migrations.

DO $$
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO envforge_app, envforge_sealer, envforge_support', current_database());
END
$$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO envforge_owner;
GRANT USAGE ON SCHEMA public TO envforge_app, envforge_sealer, envforge_support, envforge_lookup;

CREATE SCHEMA IF NOT EXISTS lookup AUTHORIZATION envforge_owner;
-- A function can only be given to a role that may create in its schema.
GRANT USAGE, CREATE ON SCHEMA lookup TO envforge_lookup;
GRANT USAGE ON SCHEMA lookup TO envforge_app;
