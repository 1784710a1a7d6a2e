//! Ends jobs before they are done, because somebody wants it.

use chrono::{DateTime, Utc};

use super::JobStatus;
use crate::{
    db::{DbError, TenantTx},
    ids::JobId,
};

/// Cancels those of the given jobs that have not ended, and answers them with the status they have
/// now. One that waits has ended as `cancelled`: the gate should forget it. One that is `running`
/// still is: its worker has to be told. Asking twice changes nothing.
pub async fn cancel_jobs(
    tx: &mut TenantTx,
    ids: &[JobId],
    now: DateTime<Utc>,
) -> Result<Vec<(JobId, JobStatus)>, DbError> {
    let tenant = tx.tenant().clone();
    let ids: Vec<uuid::Uuid> = ids.iter().map(JobId::as_uuid).collect();
    let rows = sqlx::query!(
        r#"WITH wanted AS (
               SELECT tenant_id, id, status = 'running' AS runs, cancel_requested_at IS NULL AS is_new FROM jobs
               WHERE tenant_id = $1 AND id = ANY($2) AND finished_at IS NULL
               ORDER BY id
               FOR UPDATE
           ), changed AS (
               UPDATE jobs AS job
               SET status = CASE WHEN wanted.runs THEN job.status ELSE 'cancelled' END,
                   finished_at = CASE WHEN wanted.runs THEN NULL ELSE $3::timestamptz END,
                   cancel_requested_at = coalesce(job.cancel_requested_at, $3),
                   error = CASE WHEN wanted.runs THEN job.error
                                ELSE jsonb_build_object('code', 'job.cancelled', 'retryable', false,
                                         'message', 'the job was cancelled before it began to run') END
               FROM wanted
               WHERE job.tenant_id = wanted.tenant_id AND job.id = wanted.id
               RETURNING job.tenant_id, job.id, job.kind, job.status, job.attempt, job.error, wanted.is_new
           ), told AS (
               SELECT tell(array_agg(tenant_id), array_agg(id),
                           array_agg(CASE WHEN status = 'running' THEN 'job.cancel_requested' ELSE 'job.cancelled' END),
                           array_agg(jsonb_build_object('kind', kind, 'status', status, 'attempt', attempt,
                                                        'error', error)), $3)
               FROM changed WHERE is_new
           )
           SELECT id AS "id!: JobId", status AS "status!: JobStatus" FROM changed CROSS JOIN told"#,
        tenant.as_str(),
        &ids,
        now,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.status)).collect())
}
