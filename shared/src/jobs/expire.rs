//! Ends jobs that nobody could start in time.

use chrono::{DateTime, Utc};

use crate::{
    db::{DbError, Engine, PlatformTx},
    ids::{JobId, TenantId},
};

/// Fails jobs whose first attempt has not begun by their `expires_at`, at most `limit` of them, with
/// `expired`, and answers them: the gate should forget them, and
/// whoever follows them be told.
///
/// A row that cannot be written fails the statement: then expire `only` one at a time, and the rest
/// `without` those.
pub async fn expire_jobs(
    tx: &mut PlatformTx<Engine>,
    limit: i64,
    only: Option<JobId>,
    without: &[JobId],
    now: DateTime<Utc>,
) -> Result<Vec<(TenantId, JobId)>, DbError> {
    let without: Vec<uuid::Uuid> = without.iter().map(JobId::as_uuid).collect();
    let expired = sqlx::query!(
        r#"WITH late AS (
               SELECT tenant_id, id FROM jobs
               WHERE expires_at IS NOT NULL AND started_at IS NULL AND finished_at IS NULL AND expires_at <= $1
                 AND ($3::uuid IS NULL OR id = $3) AND id <> ALL($4::uuid[])
               ORDER BY expires_at
               LIMIT $2
               FOR UPDATE SKIP LOCKED
           ), ended AS (
               UPDATE jobs AS job
               SET status = 'failed', finished_at = $1,
                   error = jsonb_build_object('code', 'expired', 'retryable', false,
                       'message', 'no attempt had begun by ' || to_char(job.expires_at AT TIME ZONE 'UTC',
                                                                        'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
               FROM late
               WHERE job.tenant_id = late.tenant_id AND job.id = late.id
               RETURNING job.tenant_id, job.id, job.kind, job.attempt, job.error
           ), told AS (
               SELECT tell(array_agg(tenant_id), array_agg(id), array_agg('job.failed'::text),
                           array_agg(jsonb_build_object('kind', kind, 'status', 'failed', 'attempt', attempt,
                                                        'error', error)), $1)
               FROM ended
           )
           SELECT tenant_id AS "tenant_id!: TenantId", id AS "id!: JobId" FROM ended CROSS JOIN told"#,
        now,
        limit,
        only.map(|id| id.as_uuid()),
        &without,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(expired
        .into_iter()
        .map(|row| (row.tenant_id, row.id))
        .collect())
}

/// Jobs that nobody could start in time, at most `limit` of them, `without` those that could not be ended.
pub async fn select_late_jobs(
    tx: &mut PlatformTx<Engine>,
    limit: i64,
    without: &[JobId],
    now: DateTime<Utc>,
) -> Result<Vec<JobId>, DbError> {
    let without: Vec<uuid::Uuid> = without.iter().map(JobId::as_uuid).collect();
    let late = sqlx::query_scalar!(
        r#"SELECT id AS "id: JobId" FROM jobs
           WHERE expires_at IS NOT NULL AND started_at IS NULL AND finished_at IS NULL AND expires_at <= $1
             AND id <> ALL($3::uuid[])
           ORDER BY expires_at
           LIMIT $2"#,
        now,
        limit,
        &without,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(late)
}
