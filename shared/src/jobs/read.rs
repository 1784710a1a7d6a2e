//! Reads jobs for the API.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Attempt, AttemptOutcome, Cancellation, Job, JobFailure, JobStatus, JsonText};
use crate::{
    db::{DbError, EachTenantTx, Engine, Operator, PlatformTx, TenantTx},
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

/// The statement that reads a tenant's jobs, with one more condition. The conditions are written out:
/// an index of unfinished or failed jobs serves a statement that names their status, not one that
/// is given it. The tenant is named although row-level security names it again: the index needs it,
/// and either guard alone would do.
macro_rules! select_jobs {
    ($tx:ident, $tenant:ident, $condition:tt, $key:expr, $filter:ident) => {
        sqlx::query_as!(
            JobRow,
            r#"SELECT id AS "id: JobId", tenant_id AS "tenant_id: TenantId", kind, status AS "status: JobStatus",
                      queue, priority, attempt, max_attempts, payload AS "payload: JsonText", result AS "result: JsonText",
                      error::text, progress::text, resource_key, labels AS "labels: JsonText", timeout_seconds,
                      run_at, created_at, started_at, finished_at,
                      expires_at, cancel_requested_at, cancel_delivered_at, request_id AS "request_id: RequestId"
               FROM jobs
               WHERE tenant_id = $1
                 AND "#
                + $condition
                + r#"
                 AND ($3::text IS NULL OR kind = $3)
                 AND ($4::jsonb IS NULL OR labels @> $4)
                 AND ($5::timestamptz IS NULL OR created_at > $5)
               ORDER BY id DESC
               LIMIT $6"#,
            $tenant.as_str(),
            $key,
            $filter.kind,
            $filter.label(),
            $filter.created_after,
            $filter.limit,
        )
        .fetch_all($tx.connection())
        .await
    };
}

impl JobFilter {
    fn label(&self) -> Option<Value> {
        self.label
            .as_ref()
            .map(|(key, value)| serde_json::json!({ key: value }))
    }
}

/// The job of this id, if the transaction's tenant has it.
pub async fn find_job(tx: &mut TenantTx, id: JobId) -> Result<Option<Job>, DbError> {
    let tenant = tx.tenant().clone();
    let any = JobFilter {
        limit: 1,
        ..JobFilter::default()
    };
    let mut rows = select_jobs!(tx, tenant, "id = $2", id.as_uuid(), any)?;
    rows.pop().map(JobRow::job).transpose()
}

/// A page of the tenant's jobs.
pub async fn list_jobs(tx: &mut TenantTx, filter: &JobFilter) -> Result<Vec<Job>, DbError> {
    let tenant = tx.tenant().clone();
    // A bound that is always there can be the index's.
    let before = filter.before.map_or(Uuid::max(), |id| id.as_uuid());
    let rows = match filter.status {
        None => select_jobs!(tx, tenant, "id < $2", before, filter),
        Some(JobStatus::Scheduled) => {
            select_jobs!(
                tx,
                tenant,
                "id < $2 AND status = 'scheduled'",
                before,
                filter
            )
        }
        Some(JobStatus::Queued) => {
            select_jobs!(tx, tenant, "id < $2 AND status = 'queued'", before, filter)
        }
        Some(JobStatus::Running) => {
            select_jobs!(tx, tenant, "id < $2 AND status = 'running'", before, filter)
        }
        Some(JobStatus::Retrying) => {
            select_jobs!(
                tx,
                tenant,
                "id < $2 AND status = 'retrying'",
                before,
                filter
            )
        }
        Some(JobStatus::Succeeded) => {
            select_jobs!(
                tx,
                tenant,
                "id < $2 AND status = 'succeeded'",
                before,
                filter
            )
        }
        Some(JobStatus::Failed) => {
            select_jobs!(tx, tenant, "id < $2 AND status = 'failed'", before, filter)
        }
        Some(JobStatus::Cancelled) => {
            select_jobs!(
                tx,
                tenant,
                "id < $2 AND status = 'cancelled'",
                before,
                filter
            )
        }
        Some(JobStatus::Superseded) => {
            select_jobs!(
                tx,
                tenant,
                "id < $2 AND status = 'superseded'",
                before,
                filter
            )
        }
    }?;
    rows.into_iter().map(JobRow::job).collect()
}

/// Who runs a job, since when and how long without a further sign of life.
#[derive(Debug, Clone, Copy)]
pub struct Runner {
    /// The worker.
    pub worker_id: WorkerId,
    /// When it claimed the job.
    pub since: DateTime<Utc>,
    /// When its lease ends.
    pub lease_expires_at: DateTime<Utc>,
}

/// Who runs this job; `None` if nobody does.
pub async fn find_runner(tx: &mut TenantTx, id: JobId) -> Result<Option<Runner>, DbError> {
    let tenant = tx.tenant().clone();
    let runner = sqlx::query_as!(
        Runner,
        r#"SELECT worker_id AS "worker_id!: WorkerId", attempt_started_at AS "since!",
                  lease_expires_at AS "lease_expires_at!"
           FROM jobs WHERE tenant_id = $1 AND id = $2 AND status = 'running'"#,
        tenant.as_str(),
        id.as_uuid(),
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(runner)
}

/// Whose job it is, and of which kind.
#[derive(Debug, Clone)]
pub struct LocatedJob {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The kind's name.
    pub kind: String,
}

/// Finds a job among all tenants': for a system administrator.
pub async fn locate_job(
    tx: &mut PlatformTx<Operator>,
    id: JobId,
) -> Result<Option<LocatedJob>, DbError> {
    // No index is kept for this alone: one look into the primary key for each tenant.
    let job = sqlx::query_as!(
        LocatedJob,
        r#"SELECT tenant.id AS "tenant_id: TenantId", found.kind AS "kind!" FROM tenants AS tenant
           CROSS JOIN LATERAL (SELECT kind FROM jobs WHERE tenant_id = tenant.id AND id = $1 LIMIT 1) AS found
           LIMIT 1"#,
        id.as_uuid()
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(job)
}

/// The job's attempts, first to last.
pub async fn list_attempts(tx: &mut TenantTx, id: JobId) -> Result<Vec<Attempt>, DbError> {
    let tenant = tx.tenant().clone();
    let rows = sqlx::query!(
        r#"SELECT number AS "number!", worker_id AS "worker_id!: WorkerId", started_at AS "started_at!", finished_at,
                  outcome AS "outcome: AttemptOutcome", error AS "error: Json<JobFailure>"
           FROM (SELECT fence, number, worker_id, started_at, finished_at, outcome, error
                 FROM job_attempts WHERE tenant_id = $1 AND job_id = $2
                 UNION ALL
                 SELECT fence, attempt, worker_id, attempt_started_at, finished_at,
                        CASE WHEN finished_at IS NULL THEN NULL
                             WHEN error->>'code' = 'worker_crashed' THEN 'crashed' ELSE status END,
                        CASE WHEN finished_at IS NOT NULL THEN error END
                 FROM jobs WHERE tenant_id = $1 AND id = $2 AND attempt_started_at IS NOT NULL) AS attempt
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

/// The statement that reads jobs of several tenants at once, from what gives their rows.
macro_rules! select_jobs_of_several {
    ($tx:ident, $source:tt, $wanted:ident) => {{
        let tenants: Vec<String> = $wanted.iter().map(|(tenant, _)| tenant.to_string()).collect();
        let ids: Vec<Uuid> = $wanted.iter().map(|(_, id)| id.as_uuid()).collect();
        sqlx::query_as!(
            JobRow,
            r#"SELECT job.id AS "id!: JobId", job.tenant_id AS "tenant_id!: TenantId", kind AS "kind!",
                      status AS "status!: JobStatus", queue AS "queue!", priority AS "priority!",
                      attempt AS "attempt!", max_attempts AS "max_attempts!", payload AS "payload!: JsonText",
                      result AS "result: JsonText", error::text, progress::text, resource_key,
                      labels AS "labels!: JsonText", timeout_seconds AS "timeout_seconds!",
                      run_at AS "run_at!", created_at AS "created_at!", started_at, finished_at, expires_at,
                      cancel_requested_at, cancel_delivered_at, request_id AS "request_id: RequestId"
               FROM "#
                + $source,
            &tenants,
            &ids,
        )
        .fetch_all($tx.connection())
        .await
    }};
}

/// What was found of a job that was asked for together with others; `None` if its tenant has none such.
/// One whose row cannot be read fails alone.
pub type FoundJob = Result<Option<Job>, Arc<DbError>>;

/// Jobs of any tenants in one round trip, in the order asked for. Each is read in its tenant's name: the
/// innermost select, which `OFFSET 0` keeps apart, needs the name that the one before it sets, so it begins
/// anew after each. Should a planner ever see a way around that, row-level security shows nothing.
pub async fn find_jobs(
    tx: &mut EachTenantTx,
    wanted: &[(TenantId, JobId)],
) -> Result<Vec<FoundJob>, DbError> {
    let rows = select_jobs_of_several!(
        tx,
        "(SELECT tenant, array_agg(id) AS ids
          FROM unnest($1::text[], $2::uuid[]) AS wanted (tenant, id) GROUP BY tenant) AS asked
         CROSS JOIN LATERAL (SELECT set_config('app.tenant_id', asked.tenant, true) AS tenant) AS named
         CROSS JOIN LATERAL (SELECT * FROM jobs WHERE tenant_id = named.tenant AND id = ANY (asked.ids)
                             OFFSET 0) AS job",
        wanted
    )?;
    Ok(in_order_of(wanted, rows))
}

/// As [`find_jobs`], in nobody's name: what that costs is to be seen against this.
pub async fn find_jobs_of_nobody(
    tx: &mut PlatformTx<Engine>,
    wanted: &[(TenantId, JobId)],
) -> Result<Vec<FoundJob>, DbError> {
    let rows = select_jobs_of_several!(
        tx,
        "unnest($1::text[], $2::uuid[]) AS wanted (tenant_id, id) JOIN jobs AS job USING (tenant_id, id)",
        wanted
    )?;
    Ok(in_order_of(wanted, rows))
}

fn in_order_of(wanted: &[(TenantId, JobId)], rows: Vec<JobRow>) -> Vec<FoundJob> {
    let found: HashMap<(TenantId, JobId), Result<Job, Arc<DbError>>> = rows
        .into_iter()
        .map(|row| {
            let key = (row.tenant_id.clone(), row.id);
            (key, row.job().map_err(Arc::new))
        })
        .collect();
    // The same job may be asked for twice.
    let each = wanted.iter().map(|key| found.get(key).cloned().transpose());
    each.collect()
}

/// A row with its JSON unread: PostgreSQL keeps numbers and nestings that a program does not, and a row that
/// cannot be read must not take the others of its statement with it.
struct JobRow {
    id: JobId,
    tenant_id: TenantId,
    kind: String,
    status: JobStatus,
    queue: String,
    priority: i16,
    attempt: i32,
    max_attempts: i32,
    payload: JsonText,
    result: Option<JsonText>,
    error: Option<String>,
    progress: Option<String>,
    resource_key: Option<String>,
    labels: JsonText,
    timeout_seconds: i32,
    run_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
    cancel_requested_at: Option<DateTime<Utc>>,
    cancel_delivered_at: Option<DateTime<Utc>>,
    request_id: Option<RequestId>,
}

impl JobRow {
    fn job(self) -> Result<Job, DbError> {
        let cancellation = self.cancel_requested_at.map(|requested_at| Cancellation {
            requested_at,
            delivered_at: self.cancel_delivered_at,
            stopped_at: self.finished_at,
        });
        Ok(Job {
            id: self.id,
            tenant_id: self.tenant_id,
            kind: self.kind,
            status: self.status,
            queue: self.queue,
            priority: self.priority,
            attempt: self.attempt,
            max_attempts: self.max_attempts,
            payload: self.payload,
            result: self.result,
            error: self.error.as_deref().map(read).transpose()?,
            progress: self.progress.as_deref().map(read).transpose()?,
            resource_key: self.resource_key,
            labels: self.labels,
            timeout_seconds: self.timeout_seconds,
            run_at: self.run_at,
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
            expires_at: self.expires_at,
            cancellation,
            request_id: self.request_id,
        })
    }
}

fn read<T: DeserializeOwned>(json: &str) -> Result<T, DbError> {
    serde_json::from_str(json).map_err(|error| DbError::from(sqlx::Error::Decode(Box::new(error))))
}
