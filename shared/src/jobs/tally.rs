//! Counts what runs, over all tenants. There are never more running jobs than the fleet has places, and
//! an index holds them alone, so the count costs the same whatever the history.

use chrono::{DateTime, Utc};

use crate::{
    db::{DbError, Engine, PlatformTx},
    ids::TenantId,
    queue::ShardId,
};

/// How many jobs of one tenant, queue and kind run.
#[derive(Debug, Clone)]
pub struct RunningTally {
    /// The tenant.
    pub tenant: TenantId,
    /// The queue that the kind belongs to.
    pub queue: String,
    /// The kind.
    pub kind: String,
    /// Jobs under a lease that is live; at least one.
    pub running: i64,
}

/// What runs on a shard under a lease that is live at `now`, by tenant, queue and kind.
pub async fn tally_running(
    tx: &mut PlatformTx<Engine>,
    shard: ShardId,
    now: DateTime<Utc>,
) -> Result<Vec<RunningTally>, DbError> {
    let tally = sqlx::query_as!(
        RunningTally,
        r#"SELECT job.tenant_id AS "tenant!: TenantId", job.queue AS "queue!", job.kind AS "kind!",
                  count(*) AS "running!"
           FROM jobs AS job
           WHERE job.status = 'running' AND job.lease_expires_at > $2
             AND (SELECT shard FROM tenants WHERE id = job.tenant_id) = $1
           GROUP BY job.tenant_id, job.queue, job.kind
           ORDER BY job.tenant_id, job.queue, job.kind"#,
        shard.0,
        now,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(tally)
}
