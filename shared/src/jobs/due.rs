//! Moves jobs whose time has come into the queue.

use chrono::{DateTime, Utc};

use super::scan::{OfferRow, offers};
use crate::{
    db::{DbError, Engine, PlatformTx},
    queue::{Offer, ShardId},
};

/// Queues scheduled and retrying jobs that are due, earliest first and at most `limit` of them, and
/// answers them as offers.
///
/// The shard is looked up for each job and not joined: see [`select_queued_page`](super::select_queued_page).
pub async fn queue_due_jobs(
    tx: &mut PlatformTx<Engine>,
    shard: ShardId,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<Vec<Offer>, DbError> {
    let rows = sqlx::query_as!(
        OfferRow,
        r#"WITH due AS (
               SELECT job.tenant_id, job.id FROM jobs AS job
               WHERE job.status IN ('scheduled', 'retrying') AND job.run_at <= $1
                 AND (SELECT shard FROM tenants WHERE id = job.tenant_id) = $2
               ORDER BY job.run_at
               LIMIT $3
               FOR UPDATE OF job SKIP LOCKED
           )
           UPDATE jobs AS job
           SET status = 'queued'
           FROM due
           WHERE job.tenant_id = due.tenant_id AND job.id = due.id
           RETURNING job.tenant_id, job.id, job.queue, job.kind, job.priority, job.run_at, job.resource_key,
                     NULL::uuid AS worker_id, NULL::timestamptz AS lease_expires_at"#,
        now,
        shard.0,
        limit,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(offers(&rows))
}
