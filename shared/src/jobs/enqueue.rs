//! Puts jobs into the record. Whoever calls commits, and offers the jobs to the gate afterwards;
//! if it dies in between, the sweeper offers them.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::PgConnection;

use super::{
    Job, JobStatus, KindSpec, PayloadError,
    supersede::{Bond, lock_bonds, supersede_older},
};
use crate::{
    db::{DbError, Engine, Operator, PlatformTx, TenantTx},
    ids::{JobId, RequestId, TenantId},
    queue::{Offer, ShardId},
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
    /// Free labels: an object of text to text.
    pub labels: Value,
    /// It fails as expired if its first attempt has not begun by then; absent = never.
    pub expires_at: Option<DateTime<Utc>>,
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
            labels: Value::Object(Map::new()),
            expires_at: None,
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
            payload: (&self.payload).into(),
            result: None,
            error: None,
            progress: None,
            resource_key: self.resource_key.clone(),
            labels: (&self.labels).into(),
            timeout_seconds: self.timeout_seconds,
            run_at: self.run_at.max(now),
            created_at: now,
            started_at: None,
            finished_at: None,
            expires_at: self.expires_at,
            cancellation: None,
            request_id: self.request_id,
        }
    }

    /// The job as the gate takes it, after the commit.
    #[must_use]
    pub fn offer(&self, tenant_id: &TenantId) -> Offer {
        Offer {
            tenant_id: tenant_id.clone(),
            id: self.id,
            queue: self.kind.queue.to_owned(),
            kind: self.kind.name.to_owned(),
            priority: self.priority,
            run_at: self.run_at,
            resource_key: self.resource_key.clone(),
        }
    }

    /// The name of its kind.
    #[must_use]
    pub const fn kind_name(&self) -> &'static str {
        self.kind.name
    }

    /// Whether it takes the place of older ones when it is written at `now`.
    #[must_use]
    pub fn supersedes(&self, now: DateTime<Utc>) -> bool {
        self.may_supersede() && self.run_at <= now
    }

    /// Whether it takes the place of older ones when it is due.
    #[must_use]
    pub const fn may_supersede(&self) -> bool {
        self.kind.supersedes && self.resource_key.is_some()
    }

    fn bond<'a>(&'a self, tenant: &'a TenantId, now: DateTime<Utc>) -> Option<Bond<'a>> {
        Some(Bond {
            tenant,
            kind: self.kind.name,
            resource_key: self
                .resource_key
                .as_deref()
                .filter(|_| self.supersedes(now))?,
        })
    }
}

/// What became of jobs that were to be written.
#[derive(Debug, Default)]
pub struct Enqueued {
    /// Those that were written. One is missing if its tenant is not active, or a switch drains its
    /// scope.
    pub written: HashSet<JobId>,
    /// Jobs whose place was taken; the gate should forget them, and whoever follows them be told. A
    /// job that was written may be among them, where a newer one was.
    pub superseded: Vec<(TenantId, JobId)>,
}

impl Enqueued {
    /// Where a job is that was among those to be written at `now`.
    #[must_use]
    pub fn status_of(&self, job: &NewJob, now: DateTime<Utc>) -> JobStatus {
        if self.superseded.iter().any(|(_, gone)| *gone == job.id) {
            JobStatus::Superseded
        } else {
            job.first_status(now)
        }
    }
}

/// Writes jobs of the transaction's tenant. Whoever calls tells of them in the audit log.
pub async fn enqueue_jobs(
    tx: &mut TenantTx,
    jobs: &[NewJob],
    now: DateTime<Utc>,
) -> Result<Enqueued, DbError> {
    let tenant = tx.tenant().clone();
    let rows: Vec<Row<'_>> = jobs.iter().map(|job| (&tenant, job)).collect();
    write(tx.connection(), &rows, now).await
}

/// Writes jobs of any tenants as one statement. Begin a transaction if one of them supersedes others.
/// Whoever calls tells of them in the audit log.
pub async fn enqueue_for_tenants(
    tx: &mut PlatformTx<Engine>,
    rows: &[(&TenantId, &NewJob)],
    now: DateTime<Utc>,
) -> Result<Enqueued, DbError> {
    write(tx.connection(), rows, now).await
}

/// Writes the first job of a tenant that is being made.
pub async fn enqueue_as_operator(
    tx: &mut PlatformTx<Operator>,
    tenant: &TenantId,
    job: &NewJob,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    insert_jobs(tx.connection(), &[(tenant, job)], now).await?;
    Ok(())
}

/// Writes one copy of `job` for every active tenant of a shard that has no unfinished job with its
/// resource key, and answers them as offers: while a cluster is away, firings must not pile up.
pub async fn enqueue_for_active_tenants(
    tx: &mut PlatformTx<Engine>,
    shard: ShardId,
    job: &NewJob,
    now: DateTime<Utc>,
) -> Result<Vec<Offer>, DbError> {
    let tenants = select_tenants_without(tx, shard, job).await?;
    let copies: Vec<(TenantId, NewJob)> = tenants
        .into_iter()
        .map(|tenant| {
            let copy = NewJob {
                id: JobId::new(),
                ..job.clone()
            };
            (tenant, copy)
        })
        .collect();
    let rows: Vec<Row<'_>> = copies.iter().map(|(tenant, copy)| (tenant, copy)).collect();
    let written = insert_jobs(tx.connection(), &rows, now).await?;
    let written = copies.iter().filter(|(_, copy)| written.contains(&copy.id));
    Ok(written.map(|(tenant, copy)| copy.offer(tenant)).collect())
}

type Row<'a> = (&'a TenantId, &'a NewJob);

async fn select_tenants_without(
    tx: &mut PlatformTx<Engine>,
    shard: ShardId,
    job: &NewJob,
) -> Result<Vec<TenantId>, DbError> {
    let tenants = sqlx::query_scalar!(
        r#"SELECT id AS "id: TenantId" FROM tenants AS tenant
           WHERE shard = $1 AND status = 'active' AND id <> 'platform'
             AND NOT EXISTS (SELECT FROM jobs
                             WHERE tenant_id = tenant.id AND resource_key = $2 AND kind = $3
                               AND finished_at IS NULL)
           ORDER BY id"#,
        shard.0,
        job.resource_key,
        job.kind.name,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(tenants)
}

async fn write(
    connection: &mut PgConnection,
    rows: &[Row<'_>],
    now: DateTime<Utc>,
) -> Result<Enqueued, DbError> {
    let bonds: Vec<Bond<'_>> = rows
        .iter()
        .filter_map(|(tenant, job)| job.bond(tenant, now))
        .collect();
    if !bonds.is_empty() {
        lock_bonds(connection, &bonds).await?;
    }
    let written = insert_jobs(connection, rows, now).await?;
    let superseded = if bonds.is_empty() {
        Vec::new()
    } else {
        supersede_older(connection, &bonds, now).await?
    };
    Ok(Enqueued {
        written,
        superseded,
    })
}

/// One statement for any number of jobs of any number of tenants: it is what makes many small
/// requests cheap. A row whose tenant is not active, or whose scope is drained, is left out.
///
/// Each row's tenant is looked up by itself. Joined with them, the tenants could be what is read first, all
/// of them in each statement, and a plan that was made while there were few did so.
async fn insert_jobs(
    connection: &mut PgConnection,
    rows: &[Row<'_>],
    now: DateTime<Utc>,
) -> Result<HashSet<JobId>, DbError> {
    macro_rules! column {
        (|$tenant:pat_param, $job:ident| $value:expr) => {
            rows.iter()
                .map(|($tenant, $job)| $value)
                .collect::<Vec<_>>()
        };
    }
    let written = sqlx::query_scalar!(
        r#"INSERT INTO jobs (tenant_id, id, kind, queue, status, priority, payload, resource_key, labels,
                             max_attempts, timeout_seconds, run_at, expires_at, request_id, created_at)
           SELECT tenant_id, id, kind, queue, status, priority, payload, resource_key, labels,
                  max_attempts, timeout_seconds, greatest(run_at, $15), expires_at, request_id, $15
           FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::smallint[], $7::jsonb[],
                       $8::text[], $9::jsonb[], $10::integer[], $11::integer[], $12::timestamptz[],
                       $13::timestamptz[], $14::uuid[])
                AS wanted (tenant_id, id, kind, queue, status, priority, payload, resource_key, labels,
                           max_attempts, timeout_seconds, run_at, expires_at, request_id)
           WHERE (SELECT tenant.status FROM tenants AS tenant WHERE tenant.id = wanted.tenant_id) = 'active'
             AND NOT EXISTS (SELECT FROM switches AS switch
                             WHERE switch.action = 'drain' AND switch.ended_at IS NULL AND switch.expires_at > $15
                               AND (switch.tenant_id IS NULL OR switch.tenant_id = wanted.tenant_id)
                               AND (switch.kind IS NULL OR switch.kind = wanted.kind))
           RETURNING id AS "id: JobId""#,
        &column!(|tenant, _job| tenant.as_str()) as &[&str],
        &column!(|_, job| job.id.as_uuid()),
        &column!(|_, job| job.kind.name) as &[&str],
        &column!(|_, job| job.kind.queue) as &[&str],
        &column!(|_, job| job.first_status(now).as_str()) as &[&str],
        &column!(|_, job| job.priority),
        &column!(|_, job| &job.payload) as &[&Value],
        &column!(|_, job| job.resource_key.as_deref()) as &[Option<&str>],
        &column!(|_, job| &job.labels) as &[&Value],
        &column!(|_, job| job.max_attempts),
        &column!(|_, job| job.timeout_seconds),
        &column!(|_, job| job.run_at),
        &column!(|_, job| job.expires_at) as &[Option<DateTime<Utc>>],
        &column!(|_, job| job.request_id.map(|id| id.as_uuid())) as &[Option<uuid::Uuid>],
        now,
    )
    .fetch_all(connection)
    .await?;
    Ok(written.into_iter().collect())
}
