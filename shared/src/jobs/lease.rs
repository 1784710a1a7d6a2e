//! What a worker writes while an attempt runs: its lease and its progress.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use super::{JobProgress, JobStatus, job::by_key};
use crate::{
    db::{DbError, Engine, PlatformTx},
    events::JOB_PROGRESS,
    ids::{JobId, TenantId},
};

/// One attempt of one job: only its holder knows the fence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseKey {
    /// Whose job it is.
    pub tenant_id: TenantId,
    /// The job.
    pub id: JobId,
    /// The attempt's fence.
    pub fence: i64,
}

/// Items in the order of their jobs. Statements over many rows lock them in the order of their
/// input, so two that meet wait for each other in one direction only.
pub(super) fn in_order<'a, T: AsRef<LeaseKey>>(items: impl Iterator<Item = &'a T>) -> Vec<&'a T> {
    let mut items: Vec<&T> = items.collect();
    items.sort_by(|a, b| {
        let (a, b) = (a.as_ref(), b.as_ref());
        (&a.tenant_id, a.id).cmp(&(&b.tenant_id, b.id))
    });
    items
}

impl AsRef<Self> for LeaseKey {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl AsRef<LeaseKey> for Report {
    fn as_ref(&self) -> &LeaseKey {
        &self.lease
    }
}

/// Extends leases and answers the jobs whose lease still was the caller's, each with whether somebody
/// wants it to be cancelled. The others belong to somebody else by now, or their lease has run out and
/// their slot may be another job's; the caller must stop working on them.
pub async fn renew_leases(
    tx: &mut PlatformTx<Engine>,
    leases: &[LeaseKey],
    now: DateTime<Utc>,
    lease_expires_at: DateTime<Utc>,
) -> Result<HashMap<JobId, bool>, DbError> {
    let Columns {
        tenants,
        ids,
        fences,
    } = Columns::of(leases);
    let kept = sqlx::query!(
        r#"UPDATE jobs AS job
           SET lease_expires_at = $4
           FROM unnest($1::text[], $2::uuid[], $3::bigint[]) AS lease (tenant_id, id, fence)
           WHERE job.tenant_id = lease.tenant_id AND job.id = lease.id
             AND job.fence = lease.fence AND job.status = $6 AND job.lease_expires_at > $5
           RETURNING job.id AS "id: JobId", job.cancel_requested_at IS NOT NULL AS "unwanted!""#,
        &tenants,
        &ids,
        &fences,
        lease_expires_at,
        now,
        by_key(JobStatus::Running),
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(kept.into_iter().map(|row| (row.id, row.unwanted)).collect())
}

/// Notes that the worker knows of a wish to cancel, and answers the jobs for which there is one.
pub async fn deliver_cancels(
    tx: &mut PlatformTx<Engine>,
    leases: &[LeaseKey],
    now: DateTime<Utc>,
) -> Result<HashSet<JobId>, DbError> {
    let Columns {
        tenants,
        ids,
        fences,
    } = Columns::of(leases);
    let delivered = sqlx::query_scalar!(
        r#"UPDATE jobs AS job
           SET cancel_delivered_at = coalesce(job.cancel_delivered_at, $4)
           FROM unnest($1::text[], $2::uuid[], $3::bigint[]) AS lease (tenant_id, id, fence)
           WHERE job.tenant_id = lease.tenant_id AND job.id = lease.id AND job.fence = lease.fence
             AND job.status = $5 AND job.cancel_requested_at IS NOT NULL
           RETURNING job.id AS "id: JobId""#,
        &tenants,
        &ids,
        &fences,
        now,
        by_key(JobStatus::Running),
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(delivered.into_iter().collect())
}

/// Leases as the arrays of a statement.
struct Columns {
    tenants: Vec<String>,
    ids: Vec<uuid::Uuid>,
    fences: Vec<i64>,
}

impl Columns {
    fn of<'a>(leases: impl IntoIterator<Item = &'a LeaseKey>) -> Self {
        let leases = in_order(leases.into_iter());
        Self {
            tenants: leases
                .iter()
                .map(|lease| lease.tenant_id.to_string())
                .collect(),
            ids: leases.iter().map(|lease| lease.id.as_uuid()).collect(),
            fences: leases.iter().map(|lease| lease.fence).collect(),
        }
    }
}

/// A handler's word on how far its attempt is.
#[derive(Debug, Clone)]
pub struct Report {
    /// Which attempt of which job.
    pub lease: LeaseKey,
    /// How far it is.
    pub progress: JobProgress,
}

/// Records reports, at most one of each attempt, and answers the jobs for which it counted: their
/// attempt still ran under the fence. Each leaves an event `job.progress` in its tenant's sequence.
///
/// Rows are locked before counters, and counters in the order of tenants, as everywhere.
pub async fn record_progress(
    tx: &mut PlatformTx<Engine>,
    reports: &[Report],
    now: DateTime<Utc>,
) -> Result<HashSet<JobId>, DbError> {
    let reports = in_order(reports.iter());
    let Columns {
        tenants,
        ids,
        fences,
    } = Columns::of(reports.iter().map(|report| &report.lease));
    let progress: Vec<serde_json::Value> = reports
        .iter()
        .map(|Report { lease: _, progress }| {
            serde_json::json!({ "percent": progress.percent, "message": progress.message })
        })
        .collect();
    let counted = sqlx::query_scalar!(
        r#"WITH reported AS (
               UPDATE jobs AS job
               SET progress = report.progress
               FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::jsonb[])
                   AS report (tenant_id, id, fence, progress)
               WHERE job.tenant_id = report.tenant_id AND job.id = report.id
                 AND job.fence = report.fence AND job.status = $7
               RETURNING job.tenant_id, job.id, job.kind, job.progress
           ), told AS (
               SELECT tell(array_agg(tenant_id), array_agg(id), array_agg($5::text),
                           array_agg(jsonb_build_object('kind', kind) || progress), $6)
               FROM reported
           )
           SELECT id AS "id!: JobId" FROM reported CROSS JOIN told"#,
        &tenants,
        &ids,
        &fences,
        &progress,
        JOB_PROGRESS,
        now,
        by_key(JobStatus::Running),
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(counted.into_iter().collect())
}
