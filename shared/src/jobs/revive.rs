//! Tries jobs again by hand: dead letters, and what was cancelled.

use chrono::{DateTime, Utc};

use super::scan::{OfferRow, offers};
use crate::{
    db::{DbError, TenantTx},
    ids::JobId,
    queue::Offer,
};

/// Queues those of the given jobs that failed, were cancelled, or wait for their next attempt, and
/// answers them as offers. A job keeps its id and its attempts; one that is out of attempts gets one
/// more. Its last attempt moves to `job_attempts`.
pub async fn revive_jobs(
    tx: &mut TenantTx,
    ids: &[JobId],
    now: DateTime<Utc>,
) -> Result<Vec<Offer>, DbError> {
    let tenant = tx.tenant().clone();
    let ids: Vec<uuid::Uuid> = ids.iter().map(JobId::as_uuid).collect();
    let rows = sqlx::query_as!(
        OfferRow,
        r#"WITH dead AS (
               SELECT tenant_id, id, fence, attempt, worker_id, attempt_started_at, finished_at, error, status
               FROM jobs
               WHERE tenant_id = $1 AND id = ANY($2) AND status IN ('failed', 'cancelled', 'retrying')
               ORDER BY id
               FOR UPDATE
           ), followed AS (
               INSERT INTO job_attempts (tenant_id, job_id, fence, number, worker_id, started_at, finished_at,
                                         outcome, error)
               SELECT tenant_id, id, fence, attempt, worker_id, attempt_started_at, finished_at,
                      CASE WHEN error->>'code' = 'worker_crashed' THEN 'crashed' ELSE status END, error
               FROM dead WHERE attempt_started_at IS NOT NULL
           ), revived AS (
               UPDATE jobs AS job
               SET status = 'queued', run_at = $3, expires_at = NULL, finished_at = NULL, worker_id = NULL,
                   attempt_started_at = NULL, cancel_requested_at = NULL, cancel_delivered_at = NULL,
                   crashes = 0, progress = NULL, max_attempts = greatest(job.max_attempts, job.attempt + 1)
               FROM dead
               WHERE job.tenant_id = dead.tenant_id AND job.id = dead.id
               RETURNING job.*
           ), told AS (
               SELECT tell(array_agg(tenant_id), array_agg(id), array_agg('job.queued'::text),
                           array_agg(jsonb_build_object('kind', kind, 'status', 'queued', 'attempt', attempt,
                                                        'error', error)), $3)
               FROM revived
           )
           SELECT tenant_id AS "tenant_id!", id AS "id!", queue AS "queue!", kind AS "kind!",
                  priority AS "priority!", run_at AS "run_at!", resource_key, worker_id, lease_expires_at
           FROM revived CROSS JOIN told"#,
        tenant.as_str(),
        &ids,
        now,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(offers(&rows))
}
