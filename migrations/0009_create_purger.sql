-- The duty that takes a tenant's data away when its grace period is over. It deletes rows of tenants
-- that are being purged, and of no others.
--
-- A new table of tenants' rows belongs here: `CREATE POLICY purger_deletes`, `GRANT DELETE`, and its
-- line in `shared/src/tenancy/purge.rs`; `isolation::catalogue` fails without.
ALTER TABLE tenants VALIDATE CONSTRAINT tenants_life_dates;
ALTER TABLE api_keys VALIDATE CONSTRAINT api_keys_not_of_the_platform;
ALTER TABLE memberships VALIDATE CONSTRAINT memberships_not_of_the_platform;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'unity_purger') THEN
        BEGIN
            CREATE ROLE unity_purger NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END IF;
END
$$;
GRANT USAGE ON SCHEMA public TO unity_purger;

-- The tombstone: a tenant whose time has come goes to `purging`, and from there to `purged`.
CREATE POLICY purger_reads ON tenants FOR SELECT TO unity_purger USING (true);
CREATE POLICY purger_buries ON tenants FOR UPDATE TO unity_purger
    USING (status IN ('deleted', 'purging')) WITH CHECK (status IN ('purging', 'purged'));
GRANT SELECT (id, uid, plan, status, purge_after, version) ON tenants TO unity_purger;
GRANT UPDATE (name, status, purged_at, status_reason, resource_quota, max_concurrent, weight, per_kind, max_waiting,
              version, updated_at) ON tenants TO unity_purger;

-- Whether the rows of a tenant may be taken away.
CREATE FUNCTION is_being_purged(tenant text) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN EXISTS (SELECT FROM tenants WHERE tenants.id = tenant AND status = 'purging');
GRANT EXECUTE ON FUNCTION is_being_purged(text) TO unity_purger;

DO $$
DECLARE table_name text;
BEGIN
    FOREACH table_name IN ARRAY ARRAY['job_attempts', 'events', 'event_counters', 'jobs', 'switches', 'api_keys',
                                      'memberships', 'idempotency_keys'] LOOP
        EXECUTE format('CREATE POLICY purger_deletes ON %I TO unity_purger
            USING (is_being_purged(tenant_id)) WITH CHECK (is_being_purged(tenant_id))', table_name);
        EXECUTE format('GRANT SELECT (ctid, tenant_id), DELETE ON %I TO unity_purger', table_name);
    END LOOP;
END
$$;

-- What waits is ended before its row goes, so that nobody offers it again; what runs is told to stop.
GRANT SELECT (id, status, cancel_requested_at), UPDATE (status, finished_at, cancel_requested_at) ON jobs
    TO unity_purger;

-- People who belonged to no other tenant go with it.
CREATE POLICY purger_sees_who_stays ON memberships FOR SELECT TO unity_purger USING (true);
GRANT SELECT (user_id) ON memberships TO unity_purger;
GRANT SELECT (id), DELETE ON users TO unity_purger;
CREATE INDEX memberships_of_a_user_idx ON memberships (user_id);

-- Deletes at most so many rows of a tenant, and answers how many.
CREATE FUNCTION purge_rows(of_table text, tenant text, most integer) RETURNS bigint LANGUAGE plpgsql
AS $$
DECLARE gone bigint;
BEGIN
    EXECUTE format('DELETE FROM %1$I WHERE ctid = ANY (ARRAY(
                        SELECT ctid FROM %1$I WHERE tenant_id = $1 LIMIT $2))', of_table)
    USING tenant, most;
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END
$$;
GRANT EXECUTE ON FUNCTION purge_rows(text, text, integer) TO unity_purger;
