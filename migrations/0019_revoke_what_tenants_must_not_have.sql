-- no-transaction
-- What a statement in one tenant's name may write, hold and see is bounded once more: whoever gets a
-- statement of their own into the application's login must not stop what crosses tenants, nor watch it.
--
-- Two steps: the first locks tables for a moment, the second reads them while others write. If the second
-- fails, a row has a time that no calendar knows; the message names the constraint. Mend the row and run
-- `unity migrate` again: each statement may be repeated.
BEGIN;
SET LOCAL lock_timeout = '5s';

-- Times. `infinity`, and years that a program cannot hold, end the process that reads them, whoever's row
-- it is. A later migration bounds its table with `SELECT bound_times('widgets')`.
CREATE OR REPLACE FUNCTION bound_times(of_table regclass, validated boolean DEFAULT true) RETURNS void
    LANGUAGE plpgsql
AS $$
DECLARE
    column_name text;
    bound       text;
BEGIN
    FOR column_name IN
        SELECT attname FROM pg_attribute
        WHERE attrelid = of_table AND atttypid = 'timestamptz'::regtype AND attnum > 0 AND NOT attisdropped
        ORDER BY attnum
    LOOP
        bound := (SELECT relname FROM pg_class WHERE oid = of_table) || '_' || column_name || '_range';
        CONTINUE WHEN EXISTS (SELECT FROM pg_constraint WHERE conrelid = of_table AND conname = bound);
        EXECUTE format($bound$ALTER TABLE %s ADD CONSTRAINT %I
                           CHECK (%3$I >= '0001-01-01 00:00:00+00' AND %3$I < '10000-01-01 00:00:00+00') %4$s$bound$,
                       of_table, bound, column_name, CASE WHEN NOT validated THEN 'NOT VALID' END);
    END LOOP;
END
$$;
DO $$
BEGIN
    PERFORM bound_times(oid::regclass, false) FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> '_sqlx_migrations'
    ORDER BY relname;
END
$$;

-- Sizes: a batch of claims is read into memory as a whole. A payload of 64 KiB, the most that the API takes,
-- may be six times as large in the row; one that a worker dies of would take other tenants' jobs with it.
ALTER TABLE jobs DROP CONSTRAINT IF EXISTS jobs_content_size, DROP CONSTRAINT IF EXISTS jobs_names_length;
ALTER TABLE jobs
    ADD CONSTRAINT jobs_content_size CHECK (
        pg_column_size(payload) <= 1048576 AND pg_column_size(labels) <= 1048576 AND pg_column_size(result) <= 1048576
        AND pg_column_size(error) <= 1048576 AND pg_column_size(progress) <= 1048576) NOT VALID,
    ADD CONSTRAINT jobs_names_length CHECK (
        char_length(kind) BETWEEN 1 AND 100 AND char_length(queue) BETWEEN 1 AND 100) NOT VALID;

-- Counters that only the engine moves. Set to their end by a tenant, they would fail the claim, or the
-- event, of every tenant in the same statement.
REVOKE INSERT ON jobs FROM unity_app, unity_operator;
GRANT INSERT (tenant_id, id, kind, queue, status, priority, payload, resource_key, labels, max_attempts,
              timeout_seconds, run_at, expires_at, request_id, created_at) ON jobs TO unity_app, unity_operator;

-- What needs a grant that would give too much is done by functions of `unity_clerk`, which nobody can
-- become. Each does it in the caller's own tenant, or in any for the two duties that may name one.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'unity_clerk') THEN
        BEGIN
            CREATE ROLE unity_clerk NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END IF;
    -- To hand a function over, its owner must be a member of the one who gets it. A superuser is.
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('GRANT unity_clerk, unity_auditor TO %I', current_user);
    END IF;
END
$$;
GRANT USAGE, CREATE ON SCHEMA public TO unity_clerk, unity_auditor;
GRANT EXECUTE ON FUNCTION current_tenant() TO unity_clerk;

-- Whether the caller of a function that acts as its owner is a duty that may name any tenant. A session of
-- the application cannot take these roles, and one that took none has none of their rights.
CREATE OR REPLACE FUNCTION may_name_any_tenant() RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN current_setting('role') IN ('unity_engine', 'unity_operator');

-- Events. A tenant that could set its counter, or write an event of its own making, would fail the
-- statement in which the engine tells of it and of others.
CREATE OR REPLACE FUNCTION tell(tenants text[], jobs uuid[], types text[], contents jsonb[], told_at timestamptz)
    RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF tenants IS NULL THEN
        RETURN 0;
    END IF;
    IF NOT may_name_any_tenant() AND cardinality(array_remove(tenants, current_tenant())) > 0 THEN
        RAISE EXCEPTION 'an event of another tenant' USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM FROM event_counters WHERE tenant_id = ANY (tenants) ORDER BY tenant_id FOR UPDATE;
    WITH told AS (
        SELECT * FROM unnest(tenants, jobs, types, contents) WITH ORDINALITY AS t (tenant_id, job_id, type, data, place)
    ), numbered AS (
        UPDATE event_counters AS counter
        SET last_sequence = counter.last_sequence + batch.events
        FROM (SELECT tenant_id, count(*) AS events FROM told GROUP BY tenant_id) AS batch
        WHERE counter.tenant_id = batch.tenant_id
        RETURNING counter.tenant_id, counter.last_sequence - batch.events AS base
    )
    INSERT INTO events (tenant_id, sequence, type, job_id, data, created_at)
    SELECT told.tenant_id, numbered.base + row_number() OVER (PARTITION BY told.tenant_id ORDER BY told.place),
           told.type, told.job_id, told.data, told_at
    FROM told JOIN numbered USING (tenant_id);
    RETURN cardinality(tenants);
END
$$;
DROP POLICY IF EXISTS clerk_counts ON event_counters;
DROP POLICY IF EXISTS clerk_tells ON events;
CREATE POLICY clerk_counts ON event_counters TO unity_clerk USING (true) WITH CHECK (true);
CREATE POLICY clerk_tells ON events FOR INSERT TO unity_clerk WITH CHECK (true);
GRANT SELECT, UPDATE (last_sequence) ON event_counters TO unity_clerk;
GRANT INSERT ON events TO unity_clerk;
REVOKE INSERT, UPDATE ON event_counters FROM unity_engine;
REVOKE UPDATE (last_sequence) ON event_counters FROM unity_app;
REVOKE INSERT ON events FROM unity_app, unity_engine;

-- Locks by name: of what waits for a tenant, and of what supersedes. Held until the transaction ends, and
-- taken in one order, so that two transactions wait for each other in one direction only.
CREATE OR REPLACE FUNCTION take_locks(tenants text[], names text[], seed bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF NOT may_name_any_tenant() AND cardinality(array_remove(tenants, current_tenant())) > 0 THEN
        RAISE EXCEPTION 'a lock of another tenant' USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM pg_advisory_xact_lock(place)
    FROM (SELECT DISTINCT hashtextextended(concat_ws(E'\t', tenant_id, name), seed) AS place
          FROM unnest(tenants, names) AS wanted (tenant_id, name) ORDER BY 1) AS places;
END
$$;
COMMENT ON FUNCTION take_locks(text[], text[], bigint) IS 'a name may be NULL: the lock is the tenant''s own';

-- Whoever may delete from a table may also lock it against everybody (LOCK TABLE asks for no more). So
-- what a tenant deletes is deleted from here; who leaves it and which sign-ins have ended is others' duty.
CREATE OR REPLACE FUNCTION delete_own_identity_provider() RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
BEGIN ATOMIC
    WITH gone AS (DELETE FROM identity_providers WHERE tenant_id = current_tenant() RETURNING 1)
    SELECT count(*) FROM gone;
END;
DROP POLICY IF EXISTS clerk_deletes ON identity_providers;
CREATE POLICY clerk_deletes ON identity_providers TO unity_clerk
    USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
REVOKE DELETE ON identity_providers, memberships, sign_ins FROM unity_app;
GRANT SELECT (tenant_id), DELETE ON identity_providers TO unity_clerk;

ALTER FUNCTION may_name_any_tenant() OWNER TO unity_clerk;
ALTER FUNCTION tell(text[], uuid[], text[], jsonb[], timestamptz) OWNER TO unity_clerk;
ALTER FUNCTION take_locks(text[], text[], bigint) OWNER TO unity_clerk;
ALTER FUNCTION delete_own_identity_provider() OWNER TO unity_clerk;
GRANT EXECUTE ON FUNCTION take_locks(text[], text[], bigint) TO unity_app, unity_engine;
GRANT EXECUTE ON FUNCTION delete_own_identity_provider() TO unity_app;

-- The log. An entry of a tenant's session is told at the database's own time, give or take what two clocks
-- may differ; it has no number that another program writes otherwise, so that its hash can be checked; and
-- the platform is told of nothing but what one of its administrators does, whose id the database knows.
-- Slack for what was under way when a grant, a key or a person came to their end.
CREATE OR REPLACE FUNCTION audit_own(entries jsonb, happened_at timestamptz) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    own      text := current_tenant();
    slack    constant interval := interval '5 minutes';
    at       timestamptz := least(greatest(happened_at, clock_timestamp() - slack), clock_timestamp() + slack);
    recently timestamptz := at - slack;
    claimed  jsonb;
    told     jsonb;
BEGIN
    IF own IS NULL OR (own = 'platform' AND EXISTS (
        SELECT FROM jsonb_array_elements(entries) AS entry
        WHERE (entry ->> 'for_platform')::boolean IS NOT TRUE)) THEN
        RAISE EXCEPTION 'no tenant is set' USING ERRCODE = 'insufficient_privilege';
    END IF;
    -- A thousand ids have 40 KiB.
    IF octet_length(entries::text) > 65536 OR jsonb_path_exists(entries, 'strict $[*].detail.**{9 to last}')
       OR EXISTS (SELECT FROM jsonb_path_query(entries, 'strict $[*].detail.** ? (@.type() == "number")') AS number
                  WHERE number::text !~ '^-?[0-9]{1,18}$') THEN
        RAISE EXCEPTION 'an entry is larger, deeper or more exact than a log keeps'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'audit_log_detail_plain', TABLE = 'audit_log';
    END IF;
    FOR claimed IN SELECT * FROM jsonb_array_elements(entries) LOOP
        CONTINUE WHEN (claimed ->> 'for_platform')::boolean IS NOT TRUE;
        IF NOT coalesce(CASE
            WHEN claimed ->> 'act_as' IS NOT NULL THEN EXISTS (
                SELECT FROM act_as_grants AS leave
                WHERE leave.tenant_id = own AND leave.id = (claimed ->> 'act_as')::uuid
                  AND leave.actor_id = (claimed ->> 'actor_id')::uuid
                  AND leave.expires_at > recently AND (leave.ended_at IS NULL OR leave.ended_at > recently))
            WHEN claimed ->> 'actor_kind' = 'api_key' THEN EXISTS (
                SELECT FROM api_keys AS key
                WHERE key.id = (claimed ->> 'actor_id')::uuid AND key.tenant_id IS NULL
                  AND (key.revoked_at IS NULL OR key.revoked_at > recently))
            WHEN claimed ->> 'actor_kind' = 'user' THEN EXISTS (
                SELECT FROM users AS person
                WHERE person.id = (claimed ->> 'actor_id')::uuid AND person.platform_role IS NOT NULL
                  AND (person.disabled_at IS NULL OR person.disabled_at > recently))
        END, false) THEN
            RAISE EXCEPTION 'the actor does not act for the platform' USING ERRCODE = 'insufficient_privilege';
        END IF;
    END LOOP;
    SELECT jsonb_agg(copy ORDER BY place, copy ->> 'tenant_id' <> own) INTO told
    FROM jsonb_array_elements(entries) WITH ORDINALITY AS stated (entry, place)
    CROSS JOIN LATERAL (
        SELECT stated.entry || jsonb_build_object('tenant_id', own) AS copy
        WHERE own <> 'platform'
        UNION ALL
        SELECT stated.entry || jsonb_build_object('tenant_id', 'platform',
                                   'detail', (stated.entry -> 'detail') || jsonb_build_object('tenant_id', own))
        WHERE (stated.entry ->> 'for_platform')::boolean
    ) AS copies;
    RETURN audit(coalesce(told, '[]'), at);
END
$$;
ALTER FUNCTION audit_own(jsonb, timestamptz) OWNER TO unity_auditor;
REVOKE CREATE ON SCHEMA public FROM unity_clerk, unity_auditor;
DROP POLICY IF EXISTS auditor_knows_administrators ON act_as_grants;
DROP POLICY IF EXISTS auditor_knows_administrators ON api_keys;
CREATE POLICY auditor_knows_administrators ON act_as_grants FOR SELECT TO unity_auditor
    USING (tenant_id = current_tenant());
CREATE POLICY auditor_knows_administrators ON api_keys FOR SELECT TO unity_auditor USING (tenant_id IS NULL);
GRANT SELECT (tenant_id, id, actor_id, expires_at, ended_at) ON act_as_grants TO unity_auditor;
GRANT SELECT (id, tenant_id, revoked_at) ON api_keys TO unity_auditor;
GRANT SELECT (id, platform_role, disabled_at) ON users TO unity_auditor;

-- One statement reads in each tenant's name now. As functions they were a way to another's rows that no line
-- of the caller shows.
DROP FUNCTION IF EXISTS job_of(text, uuid);
DROP FUNCTION IF EXISTS jobs_of(text[], uuid[]);

-- A tenant's version is nobody's to choose: at its end the tenant could be changed no more. And its
-- grace period is the database's to watch, whoever asks for the purge. A minute for what clocks differ.
CREATE OR REPLACE FUNCTION guard_tenant_life() RETURNS trigger LANGUAGE plpgsql
AS $$
DECLARE before text;
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'a tenant''s row stays as its tombstone: %', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'tenants_life', TABLE = 'tenants';
    END IF;
    IF TG_OP = 'INSERT' THEN
        before := 'active';
    ELSE
        before := OLD.status;
        IF NEW.id <> OLD.id OR NEW.uid <> OLD.uid THEN
            RAISE EXCEPTION 'a tenant keeps its id and uid: %', OLD.id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'tenants_life', TABLE = 'tenants';
        END IF;
        IF before = 'deleted' AND NEW.status = 'purging'
           AND OLD.purge_after > clock_timestamp() + interval '1 minute' THEN
            RAISE EXCEPTION 'tenant % can be restored until %', OLD.id, OLD.purge_after
                USING ERRCODE = 'check_violation', CONSTRAINT = 'tenants_life', TABLE = 'tenants';
        END IF;
        NEW.version := OLD.version + 1;
    END IF;
    IF NEW.status <> before
       AND (NEW.id = 'platform' OR TG_OP = 'INSERT' OR (before, NEW.status) NOT IN (
            ('active', 'suspended'), ('active', 'deleted'),
            ('suspended', 'active'), ('suspended', 'deleted'),
            ('deleted', 'active'), ('deleted', 'suspended'), ('deleted', 'purging'),
            ('purging', 'purged'))) THEN
        RAISE EXCEPTION 'tenant % cannot go from % to %', NEW.id, before, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'tenants_life', TABLE = 'tenants';
    END IF;
    RETURN NEW;
END
$$;

-- Password hashes are the issuer's. The operator and the registrar write one with a new person and read none.
REVOKE SELECT ON users FROM unity_operator, unity_registrar;
GRANT SELECT (id, email, platform_role, token_epoch, disabled_at) ON users TO unity_operator;
GRANT SELECT (id, email, name) ON users TO unity_registrar;

-- Temporary tables would be searched before the real ones, on a connection that the next tenant gets.
DO $$
BEGIN
    IF pg_has_role((SELECT datdba FROM pg_database WHERE datname = current_database()), 'USAGE') THEN
        EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    ELSE
        RAISE NOTICE 'temporary tables are left to everybody: % does not own the database', current_user;
    END IF;
END
$$;

-- What everybody may do on a PostgreSQL server, and tenants must not: keep large objects, which have no
-- policies; send messages; end each other's sessions, or read what these ask; take locks by number, as the
-- scheduler's leader does; learn how much everybody has and does. Monitoring keeps what it reads.
-- A setting of the server, so it needs its superuser.
DO $$
DECLARE
    taken     record;
    countable text;
BEGIN
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        RAISE NOTICE 'functions of the server are left to everybody: % is no superuser', current_user;
        RETURN;
    END IF;
    FOR taken IN
        SELECT oid::regprocedure AS signature,
               proname ~ '^pg_(stat_get_|lock_status$|blocking_pids$|safe_snapshot_blocking_pids$)|_size$' AS is_read
        FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace
          AND (proname ~ '^(lo_|pg_advisory_|pg_try_advisory_|pg_stat_get_|currtid)'
               OR proname IN ('loread', 'lowrite', 'pg_notify', 'pg_cancel_backend', 'pg_terminate_backend',
                              'pg_lock_status', 'pg_blocking_pids', 'pg_safe_snapshot_blocking_pids',
                              'pg_relation_size', 'pg_table_size', 'pg_indexes_size', 'pg_total_relation_size',
                              'pg_database_size', 'pg_tablespace_size'))
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', taken.signature);
        IF taken.is_read THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO pg_monitor, pg_read_all_stats', taken.signature);
        END IF;
    END LOOP;
    GRANT EXECUTE ON FUNCTION pg_advisory_xact_lock(bigint) TO unity_clerk, unity_issuer;
    GRANT EXECUTE ON FUNCTION pg_try_advisory_lock(bigint), pg_try_advisory_xact_lock(bigint) TO unity_engine;
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO countable FROM pg_attribute
    WHERE attrelid = 'pg_class'::regclass AND NOT attisdropped
      AND attname NOT IN ('reltuples', 'relpages', 'relallvisible', 'relallfrozen');
    REVOKE SELECT ON pg_class FROM PUBLIC;
    EXECUTE format('GRANT SELECT (%s) ON pg_class TO PUBLIC', countable);
    GRANT SELECT ON pg_class TO pg_monitor, pg_read_all_stats;
END
$$;
COMMIT;

DO $$
DECLARE unproven record;
BEGIN
    FOR unproven IN
        SELECT conrelid::regclass AS of_table, conname FROM pg_constraint
        WHERE contype = 'c' AND NOT convalidated ORDER BY 1, 2
    LOOP
        EXECUTE format('ALTER TABLE %s VALIDATE CONSTRAINT %I', unproven.of_table, unproven.conname);
    END LOOP;
END
$$;
