-- The attempt that runs, or that ended the job, is part of the job's row; `job_attempts` keeps only
-- those that another one followed. So a job that succeeds at once, as nearly all do, writes its
-- attempt with the row itself. Stop the workers of the version before: they write every attempt.

ALTER TABLE jobs
    ADD COLUMN attempt_started_at  timestamptz,
    ADD COLUMN expires_at          timestamptz,
    ADD COLUMN cancel_requested_at timestamptz,
    ADD COLUMN cancel_delivered_at timestamptz;
COMMENT ON COLUMN jobs.attempt_started_at IS 'of the attempt that runs or ended the job; NULL while it waits';
COMMENT ON COLUMN jobs.expires_at IS 'fails as expired if its first attempt has not begun by then; NULL = never';
COMMENT ON COLUMN jobs.cancel_requested_at IS 'somebody wants it to end; NULL = nobody';
COMMENT ON COLUMN jobs.cancel_delivered_at IS 'its worker knows; NULL while it does not, or where no worker had the job';
COMMENT ON COLUMN jobs.worker_id IS 'of the attempt that runs or ended the job; NULL while it waits';

-- A job that failed may be tried again by hand, beyond what was asked for at first.
ALTER TABLE jobs
    DROP CONSTRAINT jobs_lease_while_running,
    DROP CONSTRAINT jobs_max_attempts_range,
    ADD CONSTRAINT jobs_lease_while_running CHECK
        ((status = 'running') = (lease_expires_at IS NOT NULL)
         AND (status <> 'running' OR (worker_id IS NOT NULL AND attempt_started_at IS NOT NULL))) NOT VALID,
    ADD CONSTRAINT jobs_max_attempts_range CHECK (max_attempts BETWEEN 1 AND 100000);

WITH latest AS (
    SELECT DISTINCT ON (past.tenant_id, past.job_id) past.*
    FROM job_attempts AS past JOIN jobs ON jobs.tenant_id = past.tenant_id AND jobs.id = past.job_id
    WHERE jobs.status IN ('running', 'succeeded', 'failed', 'cancelled')
    ORDER BY past.tenant_id, past.job_id, past.fence DESC
), moved AS (
    DELETE FROM job_attempts AS past USING latest
    WHERE past.tenant_id = latest.tenant_id AND past.job_id = latest.job_id AND past.fence = latest.fence
)
UPDATE jobs SET attempt_started_at = latest.started_at, worker_id = latest.worker_id
FROM latest WHERE jobs.tenant_id = latest.tenant_id AND jobs.id = latest.job_id;

ALTER TABLE jobs VALIDATE CONSTRAINT jobs_lease_while_running;
ALTER TABLE job_attempts ALTER COLUMN finished_at SET NOT NULL, ALTER COLUMN outcome SET NOT NULL,
    DROP CONSTRAINT job_attempts_outcome_when_finished;
COMMENT ON TABLE job_attempts IS 'attempts that another one followed; the latest is in the job''s row';
REVOKE UPDATE ON job_attempts FROM unity_engine;

-- Each index is paid for by every job that passes through it, so there is one for each way in which
-- unfinished jobs are looked for, and none that the primary key can serve.
CREATE INDEX jobs_waiting_idx ON jobs (status, tenant_id, id) WHERE status IN ('scheduled', 'queued', 'retrying');
CREATE INDEX jobs_bound_idx ON jobs (tenant_id, resource_key) WHERE resource_key IS NOT NULL AND finished_at IS NULL;
CREATE INDEX jobs_expiring_idx ON jobs (expires_at) WHERE expires_at IS NOT NULL AND started_at IS NULL AND finished_at IS NULL;
CREATE INDEX jobs_failed_idx ON jobs (tenant_id, id) WHERE status = 'failed';
DROP INDEX jobs_queued_idx, jobs_unfinished_idx, jobs_id_idx;

-- An event is written with the job that it tells of, in one statement, and a job has a tenant.
ALTER TABLE events DROP CONSTRAINT events_tenant_id_fkey;

-- Adds events to their tenants' sequences; the n-th elements of the arrays make one event. Whoever
-- changes a job calls it in the same transaction, so that no change goes untold. Counters are locked
-- in the order of tenants: two callers cannot wait for each other.
CREATE FUNCTION tell(tenants text[], jobs uuid[], types text[], contents jsonb[], told_at timestamptz)
    RETURNS bigint LANGUAGE plpgsql
AS $$
BEGIN
    IF tenants IS NULL THEN
        RETURN 0;
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
GRANT EXECUTE ON FUNCTION tell(text[], uuid[], text[], jsonb[], timestamptz) TO unity_app, unity_engine, unity_operator;

-- A tenant cancels and retries its own jobs; row-level security shows it no others.
GRANT UPDATE (status, attempt_started_at, run_at, expires_at, cancel_requested_at, cancel_delivered_at, error, result,
              progress, crashes, max_attempts, worker_id, finished_at) ON jobs TO unity_app;
GRANT INSERT ON job_attempts, events TO unity_app;
GRANT UPDATE (last_sequence) ON event_counters TO unity_app;

-- One tenant's job, for whoever reads jobs of many tenants in one round trip. The tenant is set for
-- this look alone, so row-level security judges each job as it would in a transaction of that tenant.
CREATE FUNCTION job_of(tenant text, job uuid) RETURNS SETOF jobs
    LANGUAGE plpgsql ROWS 1
AS $$
BEGIN
    PERFORM set_config('app.tenant_id', tenant, true);
    RETURN QUERY SELECT * FROM jobs WHERE jobs.tenant_id = tenant AND jobs.id = job;
    PERFORM set_config('app.tenant_id', '', true);
END
$$;
GRANT EXECUTE ON FUNCTION job_of(text, uuid) TO unity_app;
