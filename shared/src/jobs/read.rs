//! Reads jobs for the API.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, types::Json};

use super::{Attempt, AttemptOutcome, Job, JobFailure, JobProgress, JobStatus};
use crate::{
    db::{DbError, Operator, PlatformTx, TenantTx},
    ids::{JobId, RequestId, TenantId, WorkerId},
};

/// Which jobs a listing shows; newest first.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Only this status.
    pub status: Option<JobStatus>,
    /// Only this kind.
    pub kind: Option<String>,
    /// Only jobs with this label.
    pub label: Option<(String, String)>,
    /// Only jobs made after this instant.
    pub created_after: Option<DateTime<Utc>>,
    /// Only jobs older than this one: the last of the page before.
    pub before: Option<JobId>,
    /// Most jobs to answer.
    pub limit: i64,
}

/// The job of this id, if the transaction's tenant has it.
pub async fn find_job(tx: &mut TenantTx, id: JobId) -> Result<Option<Job>, DbError> {
    let tenant = tx.tenant().clone();
    let filter = JobFilter {
        limit: 1,
        ..JobFilter::default()
    };
    Ok(select_jobs(tx.connection(), &tenant, Some(id), &filter)
        .await?
        .pop())
}

/// A page of the tenant's jobs.
pub async fn list_jobs(tx: &mut TenantTx, filter: &JobFilter) -> Result<Vec<Job>, DbError> {
    let tenant = tx.tenant().clone();
    select_jobs(tx.connection(), &tenant, None, filter).await
}

/// Whose job this is: for a system administrator, who then acts in that tenant's name.
pub async fn locate_job(
    tx: &mut PlatformTx<Operator>,
    id: JobId,
) -> Result<Option<TenantId>, DbError> {
    let tenant = sqlx::query_scalar!("SELECT tenant_id FROM jobs WHERE id = $1", id.as_uuid())
        .fetch_optional(tx.connection())
        .await?;
    Ok(tenant.and_then(|text| TenantId::parse(&text).ok()))
}

/// The job's attempts, first to last.
pub async fn list_attempts(tx: &mut TenantTx, id: JobId) -> Result<Vec<Attempt>, DbError> {
    let tenant = tx.tenant().clone();
    let rows = sqlx::query!(
        r#"SELECT number, worker_id AS "worker_id: WorkerId", started_at, finished_at,
                  outcome AS "outcome: AttemptOutcome", error AS "error: Json<JobFailure>"
           FROM job_attempts
           WHERE tenant_id = $1 AND job_id = $2
           ORDER BY fence"#,
        tenant.as_str(),
        id.as_uuid(),
    )
    .fetch_all(tx.connection())
    .await?;
    let attempts = rows.into_iter().map(|row| Attempt {
        number: row.number,
        worker_id: row.worker_id,
        started_at: row.started_at,
        finished_at: row.finished_at,
        outcome: row.outcome,
        error: row.error.map(|error| error.0),
    });
    Ok(attempts.collect())
}

/// The tenant is named in the statement although row-level security names it again: the index needs
/// it, and either guard alone would do.
async fn select_jobs(
    connection: &mut PgConnection,
    tenant: &TenantId,
    id: Option<JobId>,
    filter: &JobFilter,
) -> Result<Vec<Job>, DbError> {
    let label = filter
        .label
        .as_ref()
        .map(|(key, value)| serde_json::json!({ key: value }));
    let rows = sqlx::query!(
        r#"SELECT id AS "id: JobId", tenant_id AS "tenant_id: TenantId", kind, status AS "status: JobStatus",
                  queue, priority, attempt, max_attempts, payload, result,
                  error AS "error: Json<JobFailure>", progress AS "progress: Json<JobProgress>",
                  resource_key, labels, timeout_seconds, run_at, created_at, started_at, finished_at,
                  request_id AS "request_id: RequestId"
           FROM jobs
           WHERE tenant_id = $1
             AND ($2::uuid IS NULL OR id = $2)
             AND ($3::text IS NULL OR status = $3)
             AND ($4::text IS NULL OR kind = $4)
             AND ($5::jsonb IS NULL OR labels @> $5)
             AND ($6::timestamptz IS NULL OR created_at > $6)
             AND ($7::uuid IS NULL OR id < $7)
           ORDER BY id DESC
           LIMIT $8"#,
        tenant.as_str(),
        id.map(|id| id.as_uuid()),
        filter.status.map(JobStatus::as_str),
        filter.kind,
        label,
        filter.created_after,
        filter.before.map(|id| id.as_uuid()),
        filter.limit,
    )
    .fetch_all(connection)
    .await?;
    let jobs = rows.into_iter().map(|row| Job {
        id: row.id,
        tenant_id: row.tenant_id,
        kind: row.kind,
        status: row.status,
        queue: row.queue,
        priority: row.priority,
        attempt: row.attempt,
        max_attempts: row.max_attempts,
        payload: row.payload,
        result: row.result,
        error: row.error.map(|error| error.0),
        progress: row.progress.map(|progress| progress.0),
        resource_key: row.resource_key,
        labels: row.labels,
        timeout_seconds: row.timeout_seconds,
        run_at: row.run_at,
        created_at: row.created_at,
        started_at: row.started_at,
        finished_at: row.finished_at,
        request_id: row.request_id,
    });
    Ok(jobs.collect())
}
