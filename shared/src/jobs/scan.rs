//! Reads of many tenants' jobs, page by page, for what keeps Redis in step with the rows.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    db::{DbError, Engine, PlatformTx},
    ids::{JobId, TenantId, WorkerId},
    queue::{Offer, Running, ShardId},
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
    pub worker_id: Option<Uuid>,
    pub lease_expires_at: Option<DateTime<Utc>>,
}

impl OfferRow {
    /// A row whose tenant id breaks the table's own check cannot exist; it would be left out.
    fn offer(&self) -> Option<Offer> {
        Some(Offer {
            tenant_id: TenantId::recall(&self.tenant_id).ok()?,
            id: self.id.into(),
            queue: self.queue.clone(),
            kind: self.kind.clone(),
            priority: self.priority,
            run_at: self.run_at,
            resource_key: self.resource_key.clone(),
        })
    }
}

pub(super) fn offers(rows: &[OfferRow]) -> Vec<Offer> {
    rows.iter().filter_map(OfferRow::offer).collect()
}

/// Queued jobs of a shard after the given one, by tenant and id.
///
/// The shard is looked up for each job: where it is joined, PostgreSQL may begin with the tenants and then
/// sorts all that wait for each page.
pub async fn select_queued_page(
    tx: &mut PlatformTx<Engine>,
    shard: ShardId,
    after: Option<&(TenantId, JobId)>,
    limit: i64,
) -> Result<Vec<Offer>, DbError> {
    let rows = sqlx::query_as!(
        OfferRow,
        r#"SELECT job.tenant_id, job.id, job.queue, job.kind, job.priority, job.run_at, job.resource_key,
                  job.worker_id, job.lease_expires_at
           FROM jobs AS job
           WHERE job.status = 'queued' AND (job.tenant_id, job.id) > ($2, $3)
             AND (SELECT shard FROM tenants WHERE id = job.tenant_id) = $1
           ORDER BY job.tenant_id, job.id
           LIMIT $4"#,
        shard.0,
        after.map_or("", |(tenant, _)| tenant.as_str()),
        after.map_or(Uuid::nil(), |(_, id)| id.as_uuid()),
        limit,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(offers(&rows))
}

/// Running jobs of a shard after the given one, by id.
pub async fn select_running_page(
    tx: &mut PlatformTx<Engine>,
    shard: ShardId,
    after: Option<JobId>,
    limit: i64,
) -> Result<Vec<Running>, DbError> {
    let rows = sqlx::query_as!(
        OfferRow,
        r#"SELECT job.tenant_id, job.id, job.queue, job.kind, job.priority, job.run_at, job.resource_key,
                  job.worker_id, job.lease_expires_at
           FROM jobs AS job
           WHERE job.status = 'running' AND ($2::uuid IS NULL OR job.id > $2)
             AND (SELECT shard FROM tenants WHERE id = job.tenant_id) = $1
           ORDER BY job.id
           LIMIT $3"#,
        shard.0,
        after.map(|id| id.as_uuid()),
        limit,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(running(&rows))
}

/// A job that neither waits nor runs by its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdleJob {
    /// The job.
    pub id: JobId,
    /// When its row says that it ended; absent = it waits for its time, or there is no such row.
    pub finished_at: Option<DateTime<Utc>>,
}

/// Those of the given jobs that neither wait nor run by their rows.
pub async fn select_idle(
    tx: &mut PlatformTx<Engine>,
    jobs: &[(TenantId, JobId)],
) -> Result<Vec<IdleJob>, DbError> {
    let tenants: Vec<String> = jobs.iter().map(|(tenant, _)| tenant.to_string()).collect();
    let ids: Vec<Uuid> = jobs.iter().map(|(_, id)| id.as_uuid()).collect();
    let idle = sqlx::query_as!(
        IdleJob,
        r#"SELECT known.id AS "id!: JobId", job.finished_at AS "finished_at?"
           FROM unnest($1::text[], $2::uuid[]) AS known (tenant_id, id)
           LEFT JOIN jobs AS job ON job.tenant_id = known.tenant_id AND job.id = known.id
           WHERE job.status IS NULL OR job.status NOT IN ('queued', 'running')"#,
        &tenants,
        &ids,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(idle)
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
                  job.worker_id, job.lease_expires_at
           FROM jobs AS job
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

/// The epoch under which a shard's claims count.
pub async fn select_gate_epoch(
    tx: &mut PlatformTx<Engine>,
    shard: ShardId,
) -> Result<i64, DbError> {
    let epoch = sqlx::query_scalar!("SELECT epoch FROM gate_epochs WHERE shard = $1", shard.0)
        .fetch_one(tx.connection())
        .await?;
    Ok(epoch)
}

/// Raises a shard's epoch, above `seen`: waits for claims under way and refuses later ones of the old
/// epoch.
pub async fn raise_gate_epoch(
    tx: &mut PlatformTx<Engine>,
    shard: ShardId,
    seen: i64,
) -> Result<i64, DbError> {
    let epoch = sqlx::query_scalar!(
        "UPDATE gate_epochs SET epoch = greatest(epoch, $2) + 1 WHERE shard = $1 RETURNING epoch",
        shard.0,
        seen,
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(epoch)
}
