//! This process in the list of workers.

use chrono::{DateTime, Utc};
use unity_shared::{
    db::{DbError, Engine, PlatformTx},
    ids::WorkerId,
};

use super::capacity::PoolSetting;

/// What the fleet should know of a worker process.
#[derive(Debug)]
pub(super) struct Registration<'a> {
    pub id: WorkerId,
    pub pool: &'a str,
    pub host: &'a str,
    pub kinds: &'a [&'static str],
    pub concurrency: u32,
}

/// Adds the process to the list.
pub(super) async fn insert_worker(
    tx: &mut PlatformTx<Engine>,
    worker: &Registration<'_>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let kinds: Vec<String> = worker.kinds.iter().map(|kind| (*kind).to_owned()).collect();
    sqlx::query!(
        "INSERT INTO workers (id, pool, host, version, kinds, concurrency, started_at, heartbeat_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7)",
        worker.id.as_uuid(),
        worker.pool,
        worker.host,
        env!("CARGO_PKG_VERSION"),
        &kinds,
        i32::try_from(worker.concurrency).unwrap_or(i32::MAX),
        now,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Notes that the process lives and what it has in hand, and answers what its pool is set to.
pub(super) async fn touch_worker(
    tx: &mut PlatformTx<Engine>,
    worker: WorkerId,
    concurrency: u32,
    running: usize,
    now: DateTime<Utc>,
) -> Result<PoolSetting, DbError> {
    let pool = sqlx::query!(
        r#"WITH touched AS (
               UPDATE workers SET heartbeat_at = $2, concurrency = $3, running = $4 WHERE id = $1 RETURNING pool
           )
           SELECT pool.concurrency, pool.paused FROM touched JOIN worker_pools AS pool ON pool.name = touched.pool"#,
        worker.as_uuid(),
        now,
        i32::try_from(concurrency).unwrap_or(i32::MAX),
        i32::try_from(running).unwrap_or(i32::MAX),
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(pool.map_or_else(PoolSetting::default, |pool| PoolSetting {
        concurrency: pool
            .concurrency
            .and_then(|number| u32::try_from(number).ok()),
        paused: pool.paused,
    }))
}

/// Notes that the process has stopped.
pub(super) async fn mark_worker_stopped(
    tx: &mut PlatformTx<Engine>,
    worker: WorkerId,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE workers SET stopped_at = $2 WHERE id = $1",
        worker.as_uuid(),
        now
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
