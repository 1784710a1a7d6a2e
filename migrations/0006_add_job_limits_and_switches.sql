-- What operators set while everything runs: limits of tenants, switches, worker pools.

ALTER TABLE tenants
    ADD COLUMN per_kind jsonb NOT NULL DEFAULT '{}'
        CONSTRAINT tenants_per_kind_object CHECK (jsonb_typeof(per_kind) = 'object'),
    ADD COLUMN max_waiting integer CONSTRAINT tenants_max_waiting_range CHECK (max_waiting BETWEEN 0 AND 100000000);
COMMENT ON COLUMN tenants.per_kind IS 'kind -> most jobs of it that run at once; a kind that is not named has no limit of its own';
COMMENT ON COLUMN tenants.max_waiting IS 'most jobs that wait at once; NULL: the plan''s';
GRANT UPDATE (max_concurrent, weight, per_kind, max_waiting, version, updated_at) ON tenants TO unity_operator;

CREATE TABLE switches (
    id         uuid PRIMARY KEY,
    tenant_id  text REFERENCES tenants (id),
    kind       text,
    action     text NOT NULL CONSTRAINT switches_action_known CHECK (action IN ('pause', 'drain')),
    reason     text NOT NULL CONSTRAINT switches_reason_length CHECK (char_length(reason) BETWEEN 1 AND 500),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at   timestamptz,
    CONSTRAINT switches_scope CHECK (tenant_id IS NOT NULL OR kind IS NOT NULL),
    CONSTRAINT switches_end_after_start CHECK (expires_at > created_at)
);
COMMENT ON TABLE switches IS 'pause: what waits does not start; drain: nothing more is taken in. What runs goes on';
COMMENT ON COLUMN switches.tenant_id IS 'NULL: every tenant';
COMMENT ON COLUMN switches.kind IS 'NULL: every kind';
COMMENT ON COLUMN switches.ended_at IS 'taken back before its end';
CREATE INDEX switches_live_idx ON switches (expires_at) WHERE ended_at IS NULL;
ALTER TABLE switches ENABLE ROW LEVEL SECURITY;
ALTER TABLE switches FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_sees_what_stops_it ON switches FOR SELECT TO unity_app
    USING (tenant_id IS NULL OR tenant_id = current_tenant());
CREATE POLICY engine_reads ON switches FOR SELECT TO unity_engine USING (true);
CREATE POLICY operator_manages ON switches TO unity_operator USING (true) WITH CHECK (true);
GRANT SELECT ON switches TO unity_app, unity_engine;
GRANT SELECT, INSERT, UPDATE (ended_at) ON switches TO unity_operator;

CREATE TABLE worker_pools (
    name        text PRIMARY KEY CONSTRAINT worker_pools_name_shape CHECK (name ~ '^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$'),
    concurrency integer CONSTRAINT worker_pools_concurrency_range CHECK (concurrency BETWEEN 1 AND 10000),
    paused      boolean NOT NULL DEFAULT false,
    updated_at  timestamptz NOT NULL
);
COMMENT ON TABLE worker_pools IS 'what operators set for a pool; a pool without a row runs as its workers were started';
COMMENT ON COLUMN worker_pools.concurrency IS 'jobs at once of each worker of the pool; NULL: as each was started';
GRANT SELECT ON worker_pools TO unity_engine, unity_operator;
GRANT INSERT, UPDATE ON worker_pools TO unity_operator;

ALTER TABLE workers ADD COLUMN running integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN workers.running IS 'jobs in hand at the last heartbeat';
GRANT SELECT ON workers TO unity_operator;
