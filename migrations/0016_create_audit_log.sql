-- Who did what, from where, and what they were refused: one chain of rows for each tenant, and one
-- for the platform under the reserved slug `platform`. docs/audit.md says what the chain proves.
--
-- Nobody who serves requests may write these tables. `unity_auditor` may, nobody can become it, and
-- its functions are the only way in: each appends, none changes or takes away.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'unity_auditor') THEN
        BEGIN
            CREATE ROLE unity_auditor NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END IF;
    -- To hand a function over, its owner must be a member of the one who gets it. A superuser is.
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('GRANT unity_auditor TO %I', current_user);
    END IF;
END
$$;
GRANT USAGE, CREATE ON SCHEMA public TO unity_auditor;
GRANT EXECUTE ON FUNCTION current_tenant() TO unity_auditor;

CREATE TABLE audit_log (
    tenant_id      text NOT NULL,
    sequence       bigint NOT NULL,
    at             timestamptz NOT NULL,
    actor_kind     text NOT NULL CONSTRAINT audit_log_actor_kind_known CHECK (actor_kind IN ('user', 'api_key', 'anonymous', 'system')),
    actor_id       text NOT NULL,
    actor_display  text NOT NULL,
    act_as         uuid,
    action         text NOT NULL CONSTRAINT audit_log_action_shape CHECK (action ~ '^[a-z_]+(\.[a-z_]+)+$'),
    object_type    text NOT NULL,
    object_id      text,
    source_address inet,
    user_agent     text CONSTRAINT audit_log_user_agent_length CHECK (char_length(user_agent) <= 256),
    request_id     uuid,
    result         text NOT NULL CONSTRAINT audit_log_result_known CHECK (result IN ('succeeded', 'denied')),
    detail         jsonb NOT NULL CONSTRAINT audit_log_detail_object CHECK (jsonb_typeof(detail) = 'object'),
    previous_hash  bytea NOT NULL CONSTRAINT audit_log_previous_hash_length CHECK (octet_length(previous_hash) = 32),
    hash           bytea NOT NULL CONSTRAINT audit_log_hash_length CHECK (octet_length(hash) = 32),
    PRIMARY KEY (tenant_id, sequence)
);
COMMENT ON TABLE audit_log IS 'append-only; a tenant''s rows stay when the tenant is gone';
COMMENT ON COLUMN audit_log.sequence IS '1, 2, 3 ... of each tenant, without gaps';
COMMENT ON COLUMN audit_log.act_as IS 'the grant under which an administrator acted in the tenant; NULL: in their own name';
COMMENT ON COLUMN audit_log.object_id IS 'NULL: several, or none yet; detail has more';
COMMENT ON COLUMN audit_log.hash IS 'SHA-256 of the other columns and of the hash before; see audit_hash';
CREATE INDEX audit_log_at_idx ON audit_log (tenant_id, at);

CREATE TABLE audit_heads (
    tenant_id text PRIMARY KEY,
    sequence  bigint NOT NULL,
    hash      bytea NOT NULL CONSTRAINT audit_heads_hash_length CHECK (octet_length(hash) = 32)
);
COMMENT ON TABLE audit_heads IS 'the last row of each chain: rows that are cut off at its end are missed here';

DO $$
DECLARE table_name text;
BEGIN
    FOREACH table_name IN ARRAY ARRAY['audit_log', 'audit_heads'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', table_name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', table_name);
        EXECUTE format('CREATE POLICY tenant_reads ON %I FOR SELECT TO unity_app
            USING (tenant_id = current_tenant())', table_name);
        EXECUTE format('CREATE POLICY operator_reads ON %I FOR SELECT TO unity_operator USING (true)', table_name);
        EXECUTE format('CREATE POLICY auditor_appends ON %I TO unity_auditor USING (true) WITH CHECK (true)', table_name);
        EXECUTE format('GRANT SELECT ON %I TO unity_app, unity_operator', table_name);
    END LOOP;
END
$$;
GRANT SELECT, INSERT ON audit_log TO unity_auditor;
GRANT SELECT, INSERT, UPDATE ON audit_heads TO unity_auditor;

-- Even the owner must first say that this is what is wanted, by taking the trigger off.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are only added', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER audit_log_stays BEFORE UPDATE OR DELETE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_log_is_not_emptied BEFORE TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_heads_stay BEFORE DELETE ON audit_heads
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_heads_go_forward BEFORE UPDATE ON audit_heads
    FOR EACH ROW WHEN (new.tenant_id <> old.tenant_id OR new.sequence <= old.sequence) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_heads_are_not_emptied BEFORE TRUNCATE ON audit_heads
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- One column of the canonical form: its length in bytes as four bytes, big end first, and its text in
-- UTF-8. NULL is the length -1 alone, so no two rows read the same.
CREATE FUNCTION audit_part(part text) RETURNS bytea
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN part IS NULL THEN '\xffffffff'::bytea
                ELSE int4send(octet_length(convert_to(part, 'UTF8'))) || convert_to(part, 'UTF8') END;

-- The hash of a row. The same is computed in shared/src/audit/chain.rs from what the API answers.
CREATE FUNCTION audit_hash(entry audit_log) RETURNS bytea
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN sha256(
        audit_part('unity.audit.1')
        || audit_part((entry).tenant_id)
        || audit_part((entry).sequence::text)
        || audit_part((extract(epoch FROM (entry).at) * 1000000)::bigint::text)
        || audit_part((entry).actor_kind)
        || audit_part((entry).actor_id)
        || audit_part((entry).actor_display)
        || audit_part((entry).act_as::text)
        || audit_part((entry).action)
        || audit_part((entry).object_type)
        || audit_part((entry).object_id)
        || audit_part(host((entry).source_address))
        || audit_part((entry).user_agent)
        || audit_part((entry).request_id::text)
        || audit_part((entry).result)
        || audit_part((entry).detail::text)
        || (entry).previous_hash);

-- Appends entries to their chains, in their order. Whoever changes something calls it last in the
-- same transaction, so that nothing changes untold. Heads are locked in the order of tenants: two
-- callers cannot wait for each other. A chain is held until the transaction ends. One statement of each
-- sort for any number of entries: a flush of jobs may be told to a hundred tenants.
CREATE FUNCTION audit(entries jsonb, happened_at timestamptz) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    chains  text[] := ARRAY(SELECT DISTINCT entry ->> 'tenant_id' FROM jsonb_array_elements(entries) AS entry ORDER BY 1);
    locked  bigint;
    entry   record;
    written audit_log;
    told    audit_log[] := '{}';
BEGIN
    IF cardinality(chains) = 0 THEN
        RETURN 0;
    END IF;
    PERFORM FROM audit_heads WHERE tenant_id = ANY (chains) ORDER BY tenant_id FOR UPDATE;
    GET DIAGNOSTICS locked = ROW_COUNT;
    IF locked < cardinality(chains) THEN
        INSERT INTO audit_heads (tenant_id, sequence, hash)
        SELECT chain, 0, decode(repeat('00', 32), 'hex') FROM unnest(chains) AS chain
        ORDER BY chain ON CONFLICT DO NOTHING;
        PERFORM FROM audit_heads WHERE tenant_id = ANY (chains) ORDER BY tenant_id FOR UPDATE;
    END IF;
    FOR entry IN
        SELECT stated.*, head.sequence AS head_sequence, head.hash AS head_hash
        FROM ROWS FROM (jsonb_to_recordset(entries) AS (
            tenant_id text, actor_kind text, actor_id text, actor_display text, act_as uuid, action text,
            object_type text, object_id text, source_address inet, user_agent text, request_id uuid,
            result text, detail jsonb)) WITH ORDINALITY AS stated
        JOIN audit_heads AS head ON head.tenant_id = stated.tenant_id
        ORDER BY stated.tenant_id, stated.ordinality
    LOOP
        IF written.tenant_id IS DISTINCT FROM entry.tenant_id THEN
            written.sequence := entry.head_sequence;
            written.hash := entry.head_hash;
        END IF;
        written := ROW (entry.tenant_id, written.sequence + 1, happened_at, entry.actor_kind, entry.actor_id,
            entry.actor_display, entry.act_as, entry.action, entry.object_type, entry.object_id,
            entry.source_address, entry.user_agent, entry.request_id, entry.result, entry.detail, written.hash, NULL);
        written.hash := audit_hash(written);
        told := told || written;
    END LOOP;
    INSERT INTO audit_log SELECT * FROM unnest(told);
    UPDATE audit_heads AS head SET sequence = last.sequence, hash = last.hash
    FROM (SELECT DISTINCT ON (tenant_id) tenant_id, sequence, hash FROM unnest(told)
          ORDER BY tenant_id, sequence DESC) AS last
    WHERE head.tenant_id = last.tenant_id;
    RETURN cardinality(told);
END
$$;

-- The same for whoever acts in one tenant's name: the chain is that tenant's, whatever the entries
-- say. One that is marked `for_platform`, because an administrator acts, is told to the platform too,
-- under the tenant's name. The platform's own jobs belong to a tenant of that name: what an
-- administrator does to them is told once.
CREATE FUNCTION audit_own(entries jsonb, happened_at timestamptz) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    own text := current_tenant();
    told jsonb;
BEGIN
    IF own IS NULL OR (own = 'platform' AND EXISTS (
        SELECT FROM jsonb_array_elements(entries) AS entry
        WHERE (entry ->> 'for_platform')::boolean IS NOT TRUE)) THEN
        RAISE EXCEPTION 'no tenant is set' USING ERRCODE = 'insufficient_privilege';
    END IF;
    SELECT jsonb_agg(copy ORDER BY place, copy ->> 'tenant_id' <> own) INTO told
    FROM jsonb_array_elements(entries) WITH ORDINALITY AS stated (entry, place)
    CROSS JOIN LATERAL (
        SELECT entry || jsonb_build_object('tenant_id', own) AS copy
        WHERE own <> 'platform'
        UNION ALL
        SELECT entry || jsonb_build_object('tenant_id', 'platform',
                                           'detail', (entry -> 'detail') || jsonb_build_object('tenant_id', own))
        WHERE (entry ->> 'for_platform')::boolean
    ) AS copies;
    RETURN audit(coalesce(told, '[]'), happened_at);
END
$$;

ALTER FUNCTION audit_part(text) OWNER TO unity_auditor;
ALTER FUNCTION audit_hash(audit_log) OWNER TO unity_auditor;
ALTER FUNCTION audit(jsonb, timestamptz) OWNER TO unity_auditor;
ALTER FUNCTION audit_own(jsonb, timestamptz) OWNER TO unity_auditor;
REVOKE CREATE ON SCHEMA public FROM unity_auditor;
GRANT EXECUTE ON FUNCTION audit(jsonb, timestamptz)
    TO unity_engine, unity_issuer, unity_operator, unity_purger, unity_registrar;
GRANT EXECUTE ON FUNCTION audit_own(jsonb, timestamptz) TO unity_app;
