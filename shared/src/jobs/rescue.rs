//! Takes jobs back from workers that vanished.

use chrono::{DateTime, Utc};

use crate::{
    db::{DbError, Engine, PlatformTx},
    ids::{JobId, TenantId, WorkerId},
    jobs::JobStatus,
};

/// A job whose lease had run out.
#[derive(Debug, Clone)]
pub struct Rescued {
    /// Whose job it is.
    pub tenant_id: TenantId,
    /// The job.
    pub id: JobId,
    /// Its kind.
    pub kind: String,
    /// Its queue.
    pub queue: String,
    /// The worker that held the lease.
    pub worker_id: WorkerId,
    /// `queued`, or `failed` if it may not run again.
    pub status: JobStatus,
}

/// A job that took this many workers with it in a row is not run again: the next one would most
/// likely follow.
const CRASH_LIMIT: i32 = 3;

/// Ends attempts whose lease has run out, at most `limit` of them. The crash counts as an attempt;
/// after the last one, or after three crashes in a row, the job fails with `worker_crashed`.
///
/// Rows that another transaction holds are skipped, and nothing of a row's content is read, so no
/// single row can hold up the rest.
pub async fn rescue_expired_leases(
    tx: &mut PlatformTx<Engine>,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<Vec<Rescued>, DbError> {
    let rescued = sqlx::query_as!(
        Rescued,
        r#"WITH expired AS (
               SELECT tenant_id, id, worker_id FROM jobs
               WHERE status = 'running' AND lease_expires_at < $1
               ORDER BY lease_expires_at
               LIMIT $2
               FOR UPDATE SKIP LOCKED
           ), taken AS (
               UPDATE jobs AS job
               SET status = CASE WHEN job.crashes + 1 >= $3 OR job.attempt >= job.max_attempts
                                 THEN 'failed' ELSE 'queued' END,
                   finished_at = CASE WHEN job.crashes + 1 >= $3 OR job.attempt >= job.max_attempts
                                      THEN $1 END,
                   crashes = job.crashes + 1,
                   error = jsonb_build_object('code', 'worker_crashed',
                       'message', 'the worker stopped renewing the lease of attempt ' || job.attempt,
                       'retryable', true),
                   worker_id = NULL,
                   lease_expires_at = NULL
               FROM expired
               WHERE job.tenant_id = expired.tenant_id AND job.id = expired.id
               RETURNING job.tenant_id, job.id, job.fence, job.kind, job.queue, job.attempt, job.status,
                         job.error, expired.worker_id
           ), ended AS (
               UPDATE job_attempts AS attempt
               SET finished_at = $1, outcome = 'crashed', error = taken.error
               FROM taken
               WHERE attempt.tenant_id = taken.tenant_id AND attempt.job_id = taken.id
                 AND attempt.fence = taken.fence
           ), counter AS (
               SELECT tenant_id FROM event_counters
               WHERE tenant_id IN (SELECT tenant_id FROM taken)
               ORDER BY tenant_id FOR UPDATE
           ), numbered AS (
               UPDATE event_counters AS c
               SET last_sequence = c.last_sequence + batch.events
               FROM (SELECT tenant_id, count(*) AS events FROM taken GROUP BY tenant_id) AS batch, counter
               WHERE c.tenant_id = batch.tenant_id AND counter.tenant_id = batch.tenant_id
               RETURNING c.tenant_id, c.last_sequence - batch.events AS base
           ), told AS (
               INSERT INTO events (tenant_id, sequence, type, job_id, data, created_at)
               SELECT taken.tenant_id,
                      numbered.base + row_number() OVER (PARTITION BY taken.tenant_id ORDER BY taken.id),
                      'job.' || taken.status, taken.id,
                      jsonb_build_object('kind', taken.kind, 'status', taken.status,
                                         'attempt', taken.attempt, 'error', taken.error),
                      $1
               FROM taken JOIN numbered USING (tenant_id)
           )
           SELECT tenant_id AS "tenant_id!: TenantId", id AS "id!: JobId", kind AS "kind!",
                  queue AS "queue!", worker_id AS "worker_id!: WorkerId", status AS "status!: JobStatus"
           FROM taken"#,
        now,
        limit,
        CRASH_LIMIT,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rescued)
}
