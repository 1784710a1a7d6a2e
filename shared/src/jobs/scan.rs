//! Reads of many tenants' jobs, page by page, for what keeps Redis in step with the rows.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    db::{DbError, Engine, PlatformTx},
    ids::{JobId, TenantId, WorkerId},
    queue::{Offer, Running, ShardId},
    tenancy::job_limits_of,
};

/// The columns of an offer.
pub(super) struct OfferRow {
    pub tenant_id: String,
    pub id: Uuid,
    pub queue: String,
    pub kind: String,
    pub priority: i16,
    pub run_at: DateTime<Utc>,
    pub resource_key: Option<String>,
    pub plan: String,
    pub max_concurrent: Option<i32>,
    pub weight: Option<i32>,
    pub worker_id: Option<Uuid>,
    pub lease_expires_at: Option<DateTime<Utc>>,
}

impl OfferRow {
    /// A row whose tenant id breaks the table's own check cannot exist; it would be left out.
    fn offer(&self) -> Option<Offer> {
        Some(Offer {
            tenant_id: TenantId::parse(&self.tenant_id).ok()?,
            id: self.id.into(),
            queue: self.queue.clone(),
            kind: self.kind.clone(),
            priority: self.priority,
            run_at: self.run_at,
            resource_key: self.resource_key.clone(),
            limits: Some(job_limits_of(&self.plan, self.max_concurrent, self.weight)),
        })
    }
}

pub(super) fn offers(rows: &[OfferRow]) -> Vec<Offer> {
    rows.iter().filter_map(OfferRow::offer).collect()
}

/// Queued jobs of a shard after the given one, in the order of their ids.
pub async fn select_queued_page(
    tx: &mut PlatformTx<Engine>,
    shard: ShardId,
    after: Option<JobId>,
    limit: i64,
) -> Result<Vec<Offer>, DbError> {
    let rows = select_page(tx, shard, "queued", after, limit).await?;
    Ok(offers(&rows))
}

/// Running jobs of a shard after the given one, in the order of their ids.
pub async fn select_running_page(
    tx: &mut PlatformTx<Engine>,
    shard: ShardId,
    after: Option<JobId>,
    limit: i64,
) -> Result<Vec<Running>, DbError> {
    let rows = select_page(tx, shard, "running", after, limit).await?;
    Ok(running(&rows))
}

async fn select_page(
    tx: &mut PlatformTx<Engine>,
    shard: ShardId,
    status: &str,
    after: Option<JobId>,
    limit: i64,
) -> Result<Vec<OfferRow>, DbError> {
    let rows = sqlx::query_as!(
        OfferRow,
        r#"SELECT job.tenant_id, job.id, job.queue, job.kind, job.priority, job.run_at, job.resource_key,
                  tenant.plan, tenant.max_concurrent, tenant.weight, job.worker_id, job.lease_expires_at
           FROM jobs AS job JOIN tenants AS tenant ON tenant.id = job.tenant_id
           WHERE job.status = $1 AND tenant.shard = $2 AND ($3::uuid IS NULL OR job.id > $3)
           ORDER BY job.id
           LIMIT $4"#,
        status,
        shard.0,
        after.map(|id| id.as_uuid()),
        limit,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows)
}

/// Those of the given jobs that run under a lease that is live at `now`.
pub async fn select_running(
    tx: &mut PlatformTx<Engine>,
    ids: &[JobId],
    now: DateTime<Utc>,
) -> Result<Vec<Running>, DbError> {
    let ids: Vec<Uuid> = ids.iter().map(JobId::as_uuid).collect();
    let rows = sqlx::query_as!(
        OfferRow,
        r#"SELECT job.tenant_id, job.id, job.queue, job.kind, job.priority, job.run_at, job.resource_key,
                  tenant.plan, tenant.max_concurrent, tenant.weight, job.worker_id, job.lease_expires_at
           FROM jobs AS job JOIN tenants AS tenant ON tenant.id = job.tenant_id
           WHERE job.id = ANY($1) AND job.status = 'running' AND job.lease_expires_at > $2"#,
        &ids,
        now,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(running(&rows))
}

fn running(rows: &[OfferRow]) -> Vec<Running> {
    let running = rows.iter().filter_map(|row| {
        Some(Running {
            offer: row.offer()?,
            worker_id: WorkerId::from(row.worker_id?),
            lease_expires_at: row.lease_expires_at?,
        })
    });
    running.collect()
}

/// Raises a shard's epoch: waits for claims under way and refuses later ones of the old epoch.
pub async fn raise_gate_epoch(tx: &mut PlatformTx<Engine>, shard: ShardId) -> Result<i64, DbError> {
    let epoch = sqlx::query_scalar!(
        "UPDATE gate_epochs SET epoch = epoch + 1 WHERE shard = $1 RETURNING epoch",
        shard.0
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(epoch)
}
