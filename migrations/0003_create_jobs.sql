-- Jobs, their attempts, the events they leave, and the workers that carry them out.

CREATE TABLE jobs (
    tenant_id        text NOT NULL REFERENCES tenants (id),
    id               uuid NOT NULL,
    kind             text NOT NULL,
    queue            text NOT NULL,
    status           text NOT NULL
                     CONSTRAINT jobs_status_known CHECK (status IN
                        ('scheduled', 'queued', 'running', 'retrying', 'succeeded', 'failed', 'cancelled', 'superseded')),
    priority         smallint NOT NULL CONSTRAINT jobs_priority_range CHECK (priority BETWEEN 0 AND 9),
    payload          jsonb NOT NULL,
    resource_key     text CONSTRAINT jobs_resource_key_length CHECK (char_length(resource_key) BETWEEN 1 AND 200),
    labels           jsonb NOT NULL DEFAULT '{}',
    attempt          integer NOT NULL DEFAULT 0,
    max_attempts     integer NOT NULL CONSTRAINT jobs_max_attempts_range CHECK (max_attempts BETWEEN 1 AND 100),
    crashes          integer NOT NULL DEFAULT 0,
    timeout_seconds  integer NOT NULL CONSTRAINT jobs_timeout_range CHECK (timeout_seconds BETWEEN 1 AND 86400),
    run_at           timestamptz NOT NULL,
    fence            bigint NOT NULL DEFAULT 0,
    worker_id        uuid,
    lease_expires_at timestamptz,
    progress         jsonb,
    result           jsonb,
    error            jsonb,
    request_id       uuid,
    created_at       timestamptz NOT NULL,
    started_at       timestamptz,
    finished_at      timestamptz,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT jobs_lease_while_running CHECK
        ((status = 'running') = (lease_expires_at IS NOT NULL) AND (status = 'running') = (worker_id IS NOT NULL)),
    CONSTRAINT jobs_finished_when_ended CHECK
        ((status IN ('succeeded', 'failed', 'cancelled', 'superseded')) = (finished_at IS NOT NULL))
);
COMMENT ON COLUMN jobs.attempt IS 'attempts begun so far, counted at claim; a graceful hand-back gives one back';
COMMENT ON COLUMN jobs.crashes IS 'attempts in a row whose worker vanished without a word';
COMMENT ON COLUMN jobs.fence IS 'rises by one at every claim; a write-back must name it';
COMMENT ON COLUMN jobs.run_at IS 'not before this instant: as asked for, or the next attempt''s';
COMMENT ON COLUMN jobs.request_id IS 'the HTTP request that asked for it; NULL when a schedule did';

-- Only unfinished jobs are in these indexes, so they stay small whatever the history.
CREATE INDEX jobs_due_idx ON jobs (run_at) WHERE status IN ('scheduled', 'retrying');
CREATE INDEX jobs_queued_idx ON jobs (id) WHERE status = 'queued';
CREATE INDEX jobs_leases_idx ON jobs (lease_expires_at) WHERE status = 'running';
CREATE INDEX jobs_unfinished_idx ON jobs (tenant_id, kind) WHERE finished_at IS NULL;
CREATE INDEX jobs_id_idx ON jobs (id);

CREATE TABLE job_attempts (
    tenant_id   text NOT NULL,
    job_id      uuid NOT NULL,
    fence       bigint NOT NULL,
    number      integer NOT NULL,
    worker_id   uuid NOT NULL,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz,
    outcome     text CONSTRAINT job_attempts_outcome_known CHECK (outcome IN
                    ('succeeded', 'failed', 'retried', 'crashed', 'handed_back', 'cancelled', 'snoozed')),
    error       jsonb,
    PRIMARY KEY (tenant_id, job_id, fence),
    FOREIGN KEY (tenant_id, job_id) REFERENCES jobs (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT job_attempts_outcome_when_finished CHECK ((outcome IS NULL) = (finished_at IS NULL))
);

-- One sequence of events per tenant, without gaps: what polling, streams and webhooks agree on.
CREATE TABLE event_counters (
    tenant_id     text PRIMARY KEY REFERENCES tenants (id),
    last_sequence bigint NOT NULL DEFAULT 0
);
CREATE TABLE events (
    tenant_id  text NOT NULL REFERENCES tenants (id),
    sequence   bigint NOT NULL,
    type       text NOT NULL,
    job_id     uuid NOT NULL,
    data       jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, sequence)
);
CREATE INDEX events_job_idx ON events (tenant_id, job_id, sequence);

-- Live and past worker processes: the fleet belongs to the platform, not to a tenant.
CREATE TABLE workers (
    id           uuid PRIMARY KEY,
    pool         text NOT NULL,
    host         text NOT NULL,
    version      text NOT NULL,
    kinds        text[] NOT NULL,
    concurrency  integer NOT NULL,
    started_at   timestamptz NOT NULL,
    heartbeat_at timestamptz NOT NULL,
    stopped_at   timestamptz
);
CREATE INDEX workers_heartbeat_idx ON workers (heartbeat_at);

-- The epoch of a shard rises whenever its Redis is filled anew from the rows. A claim names the
-- epoch under which its job was admitted; one from before the refill is refused, so a worker with
-- an old admission cannot start a job that the refilled gate does not count.
CREATE TABLE gate_epochs (
    shard smallint PRIMARY KEY,
    epoch bigint NOT NULL
);
INSERT INTO gate_epochs (shard, epoch) VALUES (0, 0);

DO $$
DECLARE table_name text;
BEGIN
    FOREACH table_name IN ARRAY ARRAY['jobs', 'job_attempts', 'event_counters', 'events'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', table_name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', table_name);
        EXECUTE format('CREATE POLICY tenant_isolation ON %I TO unity_app
            USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant())', table_name);
        EXECUTE format('CREATE POLICY engine_works ON %I TO unity_engine USING (true) WITH CHECK (true)', table_name);
    END LOOP;
END
$$;
CREATE POLICY operator_locates ON jobs FOR SELECT TO unity_operator USING (true);
CREATE POLICY operator_enqueues ON jobs FOR INSERT TO unity_operator WITH CHECK (true);
CREATE POLICY operator_starts_counting ON event_counters FOR INSERT TO unity_operator WITH CHECK (true);

GRANT SELECT, INSERT ON jobs TO unity_app;
GRANT SELECT ON job_attempts, event_counters, events TO unity_app;
GRANT SELECT, INSERT, UPDATE ON jobs, job_attempts, event_counters, workers TO unity_engine;
GRANT SELECT, INSERT ON events TO unity_engine;
GRANT SELECT, UPDATE ON gate_epochs TO unity_engine;
GRANT SELECT (id, tenant_id), INSERT ON jobs TO unity_operator;
GRANT INSERT ON event_counters TO unity_operator;
