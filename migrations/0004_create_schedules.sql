-- Cron schedules and what they fired. The row is the truth: a firing is unique by schedule and
-- instant, so two schedulers that both believe to be the leader cannot fire twice.

CREATE TABLE schedules (
    id           uuid PRIMARY KEY,
    name         text NOT NULL CONSTRAINT schedules_name_key UNIQUE,
    cron         text NOT NULL,
    kind         text NOT NULL,
    payload      jsonb NOT NULL DEFAULT '{}',
    enabled      boolean NOT NULL DEFAULT true,
    next_fire_at timestamptz,
    created_at   timestamptz NOT NULL
);
COMMENT ON TABLE schedules IS 'the platform''s own: each firing enqueues one job for every active tenant';
COMMENT ON COLUMN schedules.cron IS 'seconds minutes hours day-of-month month day-of-week, in UTC';
COMMENT ON COLUMN schedules.next_fire_at IS 'NULL: not computed yet';

CREATE TABLE schedule_firings (
    schedule_id uuid NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
    fire_at     timestamptz NOT NULL,
    fired_at    timestamptz NOT NULL,
    job_count   integer NOT NULL,
    PRIMARY KEY (schedule_id, fire_at)
);

GRANT SELECT, INSERT, UPDATE ON schedules TO unity_engine;
GRANT SELECT, INSERT, UPDATE ON schedule_firings TO unity_engine;

INSERT INTO schedules (id, name, cron, kind, created_at)
VALUES ('0198c0de-0000-7000-8000-000000000001', 'reconcile-tenant-namespaces', '0 */10 * * * *', 'provision_namespace', now());
