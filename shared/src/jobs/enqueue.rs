//! Puts jobs into the record. Whoever calls commits, and offers the jobs to the gate afterwards;
//! if it dies in between, the sweeper offers them.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::PgConnection;

use super::{Job, JobStatus, KindSpec, PayloadError};
use crate::{
    db::{DbError, Engine, Operator, PlatformTx, TenantTx},
    ids::{JobId, RequestId, TenantId},
    queue::{Offer, ShardId},
    tenancy::{JobLimits, job_limits_of},
};

/// A job that has been checked and may be written.
#[derive(Debug, Clone)]
pub struct NewJob {
    kind: KindSpec,
    payload: Value,
    /// The job's id; also its place among jobs of the same instant.
    pub id: JobId,
    /// 0 (last) to 9 (first).
    pub priority: i16,
    /// It does not start before; an instant in the past means now.
    pub run_at: DateTime<Utc>,
    /// Longest time of one attempt, in seconds, 1 to 86 400.
    pub timeout_seconds: i32,
    /// Most attempts, 1 to 100.
    pub max_attempts: i32,
    /// At most one job of the tenant with the same key runs at a time.
    pub resource_key: Option<String>,
    /// Free labels: text to text.
    pub labels: Map<String, Value>,
    /// The request that asked for it.
    pub request_id: Option<RequestId>,
}

/// Why a job cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum NewJobError {
    /// The payload is not what the kind takes.
    #[error(transparent)]
    Payload(#[from] PayloadError),
}

/// Where jobs wait unless they say otherwise: in the middle of 0 to 9.
const DEFAULT_PRIORITY: i16 = 5;

impl NewJob {
    /// A job of `kind` with its kind's defaults, due now. The payload is checked here.
    pub fn new(kind: &KindSpec, payload: &Value, now: DateTime<Utc>) -> Result<Self, NewJobError> {
        Ok(Self {
            kind: *kind,
            payload: kind.check_payload(payload)?,
            id: JobId::new(),
            priority: DEFAULT_PRIORITY,
            run_at: now,
            timeout_seconds: i32::try_from(kind.timeout.as_secs()).unwrap_or(i32::MAX),
            max_attempts: kind.retry.max_attempts,
            resource_key: kind.default_resource_key.map(str::to_owned),
            labels: Map::new(),
            request_id: None,
        })
    }

    /// `scheduled` if its time has not come at `now`, else `queued`.
    #[must_use]
    pub fn first_status(&self, now: DateTime<Utc>) -> JobStatus {
        if self.run_at > now {
            JobStatus::Scheduled
        } else {
            JobStatus::Queued
        }
    }

    /// The job as its row reads when it has just been written at `now`.
    #[must_use]
    pub fn first_state(&self, tenant_id: &TenantId, now: DateTime<Utc>) -> Job {
        Job {
            id: self.id,
            tenant_id: tenant_id.clone(),
            kind: self.kind.name.to_owned(),
            status: self.first_status(now),
            queue: self.kind.queue.to_owned(),
            priority: self.priority,
            attempt: 0,
            max_attempts: self.max_attempts,
            payload: self.payload.clone(),
            result: None,
            error: None,
            progress: None,
            resource_key: self.resource_key.clone(),
            labels: Value::Object(self.labels.clone()),
            timeout_seconds: self.timeout_seconds,
            run_at: self.run_at.max(now),
            created_at: now,
            started_at: None,
            finished_at: None,
            request_id: self.request_id,
        }
    }

    /// The job as the gate takes it, after the commit.
    #[must_use]
    pub fn offer(&self, tenant_id: &TenantId, limits: JobLimits) -> Offer {
        Offer {
            tenant_id: tenant_id.clone(),
            id: self.id,
            queue: self.kind.queue.to_owned(),
            kind: self.kind.name.to_owned(),
            priority: self.priority,
            run_at: self.run_at,
            resource_key: self.resource_key.clone(),
            limits: Some(limits),
        }
    }
}

/// Writes a job of the transaction's tenant.
pub async fn enqueue_job(
    tx: &mut TenantTx,
    job: &NewJob,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let tenant = tx.tenant().clone();
    insert_job(tx.connection(), &tenant, job, now).await
}

/// Writes a tenant's job as part of what a system administrator does.
pub async fn enqueue_as_operator(
    tx: &mut PlatformTx<Operator>,
    tenant: &TenantId,
    job: &NewJob,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    insert_job(tx.connection(), tenant, job, now).await
}

async fn insert_job(
    connection: &mut PgConnection,
    tenant: &TenantId,
    job: &NewJob,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        "INSERT INTO jobs (tenant_id, id, kind, queue, status, priority, payload, resource_key, labels,
                           max_attempts, timeout_seconds, run_at, request_id, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, greatest($12::timestamptz, $14::timestamptz), $13, $14)",
        tenant.as_str(),
        job.id.as_uuid(),
        job.kind.name,
        job.kind.queue,
        job.first_status(now).as_str(),
        job.priority,
        job.payload,
        job.resource_key,
        Value::Object(job.labels.clone()),
        job.max_attempts,
        job.timeout_seconds,
        job.run_at,
        job.request_id.map(|id| id.as_uuid()),
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes one copy of `job` for every active tenant of a shard that has no unfinished job of the
/// kind, and answers them as offers. The copies have ids of their own.
pub async fn enqueue_for_active_tenants(
    tx: &mut PlatformTx<Engine>,
    shard: ShardId,
    job: &NewJob,
    now: DateTime<Utc>,
) -> Result<Vec<Offer>, DbError> {
    let tenants = select_tenants_without(tx, shard, job.kind.name).await?;
    let mut offers = Vec::with_capacity(tenants.len());
    for (tenant, limits) in tenants {
        let copy = NewJob {
            id: JobId::new(),
            ..job.clone()
        };
        offers.push(copy.offer(&tenant, limits));
    }
    insert_copies(tx.connection(), &offers, job, now).await?;
    Ok(offers)
}

/// A tenant whose last job of this kind has not ended gets no further one: while a cluster is away,
/// firings must not pile up behind it.
async fn select_tenants_without(
    tx: &mut PlatformTx<Engine>,
    shard: ShardId,
    kind: &str,
) -> Result<Vec<(TenantId, JobLimits)>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: TenantId", plan, max_concurrent, weight FROM tenants AS tenant
           WHERE shard = $1 AND status = 'active'
             AND NOT EXISTS (SELECT FROM jobs
                             WHERE tenant_id = tenant.id AND kind = $2 AND finished_at IS NULL)
           ORDER BY id"#,
        shard.0,
        kind,
    )
    .fetch_all(tx.connection())
    .await?;
    let tenants = rows.into_iter().map(|row| {
        (
            row.id,
            job_limits_of(&row.plan, row.max_concurrent, row.weight),
        )
    });
    Ok(tenants.collect())
}

async fn insert_copies(
    connection: &mut PgConnection,
    offers: &[Offer],
    job: &NewJob,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let tenants: Vec<String> = offers
        .iter()
        .map(|offer| offer.tenant_id.to_string())
        .collect();
    let ids: Vec<uuid::Uuid> = offers.iter().map(|offer| offer.id.as_uuid()).collect();
    sqlx::query!(
        "INSERT INTO jobs (tenant_id, id, kind, queue, status, priority, payload, resource_key, labels,
                           max_attempts, timeout_seconds, run_at, created_at)
         SELECT copy.tenant_id, copy.id, $3, $4, 'queued', $5, $6, $7, $8, $9, $10, $11, $11
         FROM unnest($1::text[], $2::uuid[]) AS copy (tenant_id, id)",
        &tenants,
        &ids,
        job.kind.name,
        job.kind.queue,
        job.priority,
        job.payload,
        job.resource_key,
        Value::Object(job.labels.clone()),
        job.max_attempts,
        job.timeout_seconds,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}
