//! Takes jobs back from workers that vanished.

use chrono::{DateTime, Utc};

use crate::{
    db::{DbError, Engine, PlatformTx},
    ids::{JobId, TenantId, WorkerId},
    jobs::JobStatus,
    queue::Offer,
};

/// A job whose lease had run out.
#[derive(Debug)]
pub struct Rescued {
    /// The job as the gate knows it.
    pub offer: Offer,
    /// The worker that held the lease.
    pub worker: WorkerId,
    /// Whether the job is queued again; otherwise it has ended.
    pub queued: bool,
}

/// A job that took this many workers with it in a row is not run again: the next one would most
/// likely follow.
const CRASH_LIMIT: i32 = 3;

/// Ends attempts whose lease has run out, at most `limit` of them. The crash counts as an attempt;
/// after the last one, or after three crashes in a row, the job fails with `worker_crashed`. One that
/// somebody wants to be cancelled ends as cancelled.
///
/// Rows that another transaction holds are skipped, and nothing of a row's content is read. A row that
/// cannot be written all the same fails the statement: then rescue `only` one at a time, and the rest
/// `without` those.
pub async fn rescue_expired_leases(
    tx: &mut PlatformTx<Engine>,
    limit: i64,
    only: Option<JobId>,
    without: &[JobId],
    now: DateTime<Utc>,
) -> Result<Vec<Rescued>, DbError> {
    let without: Vec<uuid::Uuid> = without.iter().map(JobId::as_uuid).collect();
    let rows = sqlx::query!(
        r#"WITH expired AS (
               SELECT tenant_id, id, worker_id, attempt_started_at,
                      CASE WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
                           WHEN crashes + 1 >= $3 OR attempt >= max_attempts THEN 'failed'
                           ELSE 'queued' END AS next
               FROM jobs
               WHERE status = 'running' AND lease_expires_at < $1
                 AND ($4::uuid IS NULL OR id = $4) AND id <> ALL($5::uuid[])
               ORDER BY lease_expires_at
               LIMIT $2
               FOR UPDATE SKIP LOCKED
           ), taken AS (
               UPDATE jobs AS job
               SET status = expired.next,
                   finished_at = CASE WHEN expired.next <> 'queued' THEN $1 END,
                   worker_id = CASE WHEN expired.next <> 'queued' THEN job.worker_id END,
                   attempt_started_at = CASE WHEN expired.next <> 'queued' THEN job.attempt_started_at END,
                   crashes = job.crashes + 1,
                   error = jsonb_build_object('code', 'worker_crashed',
                       'message', 'the worker stopped renewing the lease of attempt ' || job.attempt,
                       'retryable', true),
                   lease_expires_at = NULL
               FROM expired
               WHERE job.tenant_id = expired.tenant_id AND job.id = expired.id
               RETURNING job.*, expired.worker_id AS crashed_worker, expired.attempt_started_at AS crashed_start
           ), followed AS (
               INSERT INTO job_attempts (tenant_id, job_id, fence, number, worker_id, started_at, finished_at,
                                         outcome, error)
               SELECT tenant_id, id, fence, attempt, crashed_worker, crashed_start, $1, 'crashed', error
               FROM taken WHERE status = 'queued'
           ), told AS (
               SELECT tell(array_agg(tenant_id), array_agg(id), array_agg('job.' || status),
                           array_agg(jsonb_build_object('kind', kind, 'status', status, 'attempt', attempt,
                                                        'error', error)), $1)
               FROM taken
           )
           SELECT tenant_id AS "tenant_id!: TenantId", id AS "id!: JobId", kind AS "kind!", queue AS "queue!",
                  priority AS "priority!", run_at AS "run_at!", resource_key,
                  crashed_worker AS "worker_id!: WorkerId", status AS "status!: JobStatus"
           FROM taken CROSS JOIN told"#,
        now,
        limit,
        CRASH_LIMIT,
        only.map(|id| id.as_uuid()),
        &without,
    )
    .fetch_all(tx.connection())
    .await?;
    let rescued = rows.into_iter().map(|row| Rescued {
        worker: row.worker_id,
        queued: row.status == JobStatus::Queued,
        offer: Offer {
            tenant_id: row.tenant_id,
            id: row.id,
            queue: row.queue,
            kind: row.kind,
            priority: row.priority,
            run_at: row.run_at,
            resource_key: row.resource_key,
        },
    });
    Ok(rescued.collect())
}

/// Jobs whose lease has run out, at most `limit` of them, `without` those that could not be rescued.
pub async fn select_expired_leases(
    tx: &mut PlatformTx<Engine>,
    limit: i64,
    without: &[JobId],
    now: DateTime<Utc>,
) -> Result<Vec<JobId>, DbError> {
    let without: Vec<uuid::Uuid> = without.iter().map(JobId::as_uuid).collect();
    let expired = sqlx::query_scalar!(
        r#"SELECT id AS "id: JobId" FROM jobs
           WHERE status = 'running' AND lease_expires_at < $1 AND id <> ALL($3::uuid[])
           ORDER BY lease_expires_at
           LIMIT $2"#,
        now,
        limit,
        &without,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(expired)
}
