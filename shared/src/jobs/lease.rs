//! What a worker writes while an attempt runs: its lease and its progress.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use super::JobProgress;
use crate::{
    db::{DbError, Engine, PlatformTx},
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

/// Extends leases and answers the jobs whose lease still was the caller's, each with whether somebody
/// wants it to be cancelled. The others belong to somebody else by now; the caller must stop working
/// on them.
pub async fn renew_leases(
    tx: &mut PlatformTx<Engine>,
    leases: &[LeaseKey],
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
             AND job.fence = lease.fence AND job.status = 'running'
           RETURNING job.id AS "id: JobId", job.cancel_requested_at IS NOT NULL AS "unwanted!""#,
        &tenants,
        &ids,
        &fences,
        lease_expires_at,
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
             AND job.status = 'running' AND job.cancel_requested_at IS NOT NULL
           RETURNING job.id AS "id: JobId""#,
        &tenants,
        &ids,
        &fences,
        now,
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
    fn of(leases: &[LeaseKey]) -> Self {
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

/// Records how far the attempt is. Answers whether the lease still was the caller's.
pub async fn record_progress(
    tx: &mut PlatformTx<Engine>,
    lease: &LeaseKey,
    progress: &JobProgress,
) -> Result<bool, DbError> {
    let done = sqlx::query!(
        "UPDATE jobs SET progress = $4
         WHERE tenant_id = $1 AND id = $2 AND fence = $3 AND status = 'running'",
        lease.tenant_id.as_str(),
        lease.id.as_uuid(),
        lease.fence,
        serde_json::json!({ "percent": progress.percent, "message": progress.message }),
    )
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}
