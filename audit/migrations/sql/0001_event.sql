CREATE TABLE audit_event (
    id uuid NOT NULL,
    org_id uuid NOT NULL,
    at timestamptz NOT NULL,
    kind text NOT NULL,
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    actor_label text NOT NULL,
    target_kind text NOT NULL,
    target_id text NOT NULL,
    target_label text NOT NULL,
    workspace_id uuid,
    request_id text NOT NULL,
    facts jsonb NOT NULL DEFAULT '{}',
    seq bigint,
    hash bytea,
    sealed_at timestamptz,
    -- The timeline's order, so that it needs no index of its own: each index costs every write and every sealing.
    PRIMARY KEY (org_id, at, id),
    CONSTRAINT audit_event_sealed_whole CHECK (num_nulls(seq, hash, sealed_at) IN (0, 3))
) PARTITION BY RANGE (at);

CREATE INDEX audit_event_chain ON audit_event (org_id, seq) WHERE seq IS NOT NULL;
CREATE INDEX audit_event_unsealed ON audit_event (org_id, at, id) WHERE seq IS NULL;

-- For the timeline's filters. An event comes into them when it is sealed: the sealer pays for them, not the request that
-- appends. `selectors.page` reads the few events that wait beside them.
CREATE INDEX audit_event_kind ON audit_event (org_id, kind, at, id) WHERE seq IS NOT NULL;
CREATE INDEX audit_event_actor ON audit_event (org_id, actor_id, at, id) WHERE seq IS NOT NULL;
CREATE INDEX audit_event_target ON audit_event (org_id, target_id, at, id) WHERE seq IS NOT NULL;
CREATE INDEX audit_event_workspace ON audit_event (org_id, workspace_id, at, id) WHERE seq IS NOT NULL AND workspace_id IS NOT NULL;
CREATE INDEX audit_event_request ON audit_event (org_id, request_id, at, id) WHERE seq IS NOT NULL AND request_id <> '';

ALTER TABLE audit_event ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_event FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON audit_event
    USING (org_id = (SELECT NULLIF(current_setting('envforge.org_id', true), '')::uuid))
    WITH CHECK (org_id = (SELECT NULLIF(current_setting('envforge.org_id', true), '')::uuid));
-- Anybody's sign-in or a staff act is told to the platform's chain, from wherever it happens; reading it takes entering it.
CREATE POLICY platform_append ON audit_event FOR INSERT
    WITH CHECK (org_id = '00000000-0000-8000-8000-656e76666f72');
CREATE POLICY sealer_reads ON audit_event FOR SELECT TO envforge_sealer USING (true);
CREATE POLICY sealer_seals ON audit_event FOR UPDATE TO envforge_sealer USING (seq IS NULL) WITH CHECK (seq IS NOT NULL);

GRANT SELECT,
    INSERT (id, org_id, at, kind, actor_kind, actor_id, actor_label, target_kind, target_id, target_label, workspace_id, request_id, facts)
    ON audit_event TO envforge_app;
GRANT SELECT, UPDATE (seq, hash, sealed_at) ON audit_event TO envforge_sealer;

CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: the audit is append-only', TG_OP, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER audit_event_not_deleted BEFORE DELETE ON audit_event FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_event_told_once
    BEFORE UPDATE OF id, org_id, at, kind, actor_kind, actor_id, actor_label, target_kind, target_id, target_label, workspace_id, request_id, facts
    ON audit_event FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_event_sealed_once BEFORE UPDATE ON audit_event FOR EACH ROW
    WHEN (OLD.seq IS NOT NULL OR current_user <> 'envforge_sealer') EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_event_begins_unsealed BEFORE INSERT ON audit_event FOR EACH ROW
    WHEN (NEW.seq IS NOT NULL) EXECUTE FUNCTION audit_refuse();

-- Makes the month's partition unless it is there. A partition queried directly would ignore its parent's policies, so it
-- has no grants at all and a forced policy of its own. Runs as its owner, who alone may create; only the sealer may call it.
CREATE FUNCTION audit_make_partition(month date) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    first date := date_trunc('month', month);
    name text := 'audit_event_' || to_char(month, 'YYYYMM');
BEGIN
    IF month IS NULL OR month < date '2020-01-01' OR month > current_date + 731 THEN
        RAISE EXCEPTION 'no partition for %: it must lie between 2020 and two years from now', month;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('audit_make_partition'));
    IF to_regclass('public.' || name) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.audit_event INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
    EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format(
        'CREATE POLICY tenant ON public.%I USING (org_id = (SELECT NULLIF(current_setting(%L, true), %L)::uuid))', name, 'envforge.org_id', '');
    EXECUTE format(
        'ALTER TABLE public.audit_event ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)', name, first, first + interval '1 month');
    RETURN true;
END $$;
REVOKE ALL ON FUNCTION audit_make_partition FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_make_partition TO envforge_sealer;

-- Catches what no month has a partition for, so that an event is never lost for want of a table.
CREATE TABLE audit_event_default PARTITION OF audit_event DEFAULT;
ALTER TABLE audit_event_default ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_event_default FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON audit_event_default
    USING (org_id = (SELECT NULLIF(current_setting('envforge.org_id', true), '')::uuid));

SELECT audit_make_partition((date_trunc('month', now()) + make_interval(months => ahead))::date) FROM generate_series(0, 3) AS ahead;
