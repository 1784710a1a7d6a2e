//! Worker pools: what operators set for them, and what they have.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::db::{DbError, Operator, PlatformTx};

/// A pool of workers.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Pool {
    /// Its name.
    pub pool: String,
    /// Jobs at once of each worker, 1 to 10 000; null = as each was started.
    #[schema(required)]
    pub concurrency: Option<i32>,
    /// Whether its workers take no jobs. What they run goes on.
    pub paused: bool,
    /// Workers that live.
    pub workers: i64,
    /// Jobs that they take at once together.
    pub capacity: i64,
    /// Jobs that they had in hand at their last heartbeats.
    pub running: i64,
}

/// What is to be set; absent = as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolChange {
    /// Jobs at once of each worker, 1 to 10 000; `Some(None)` = as each was started.
    pub concurrency: Option<Option<i32>>,
    /// Whether its workers take no jobs.
    pub paused: Option<bool>,
}

/// Whether a pool can have this name: 1 to 63 lower-case letters, digits, `-` and `_`, a letter or a
/// digit at both ends.
#[must_use]
pub fn is_pool_name(text: &str) -> bool {
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric)
        && bytes
            .iter()
            .all(|b| alphanumeric(b) || matches!(b, b'-' | b'_'))
}

/// Pools that were set, or that a worker was ever seen of, by name: those after the given one. A worker
/// lives if it has not stopped and gave a sign of life after `alive_since`.
pub async fn list_pools(
    tx: &mut PlatformTx<Operator>,
    alive_since: DateTime<Utc>,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Pool>, DbError> {
    select_pools(tx, alive_since, after, None, limit).await
}

/// The pool of this name; `None` if it was never set and no worker of it was ever seen.
pub async fn find_pool(
    tx: &mut PlatformTx<Operator>,
    alive_since: DateTime<Utc>,
    name: &str,
) -> Result<Option<Pool>, DbError> {
    Ok(select_pools(tx, alive_since, None, Some(name), 1)
        .await?
        .pop())
}

async fn select_pools(
    tx: &mut PlatformTx<Operator>,
    alive_since: DateTime<Utc>,
    after: Option<&str>,
    name: Option<&str>,
    limit: i64,
) -> Result<Vec<Pool>, DbError> {
    let pools = sqlx::query_as!(
        Pool,
        r#"SELECT known.name AS "pool!", setting.concurrency AS "concurrency?",
                  coalesce(setting.paused, false) AS "paused!", live.workers AS "workers!",
                  live.capacity AS "capacity!", live.running AS "running!"
           FROM (SELECT name FROM worker_pools UNION SELECT pool FROM workers) AS known (name)
           LEFT JOIN worker_pools AS setting ON setting.name = known.name
           CROSS JOIN LATERAL
               (SELECT count(*) AS workers, coalesce(sum(worker.concurrency), 0) AS capacity,
                       coalesce(sum(worker.running), 0) AS running
                FROM workers AS worker
                WHERE worker.pool = known.name AND worker.stopped_at IS NULL AND worker.heartbeat_at > $1) AS live
           WHERE ($2::text IS NULL OR known.name > $2) AND ($3::text IS NULL OR known.name = $3)
           ORDER BY known.name
           LIMIT $4"#,
        alive_since,
        after,
        name,
        limit,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(pools)
}

/// Sets a pool. Its workers obey from their next heartbeat on.
pub async fn update_pool(
    tx: &mut PlatformTx<Operator>,
    name: &str,
    change: PoolChange,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let PoolChange {
        concurrency,
        paused,
    } = change;
    sqlx::query!(
        "INSERT INTO worker_pools AS pool (name, concurrency, paused, updated_at)
         VALUES ($1, $3, coalesce($4, false), $5)
         ON CONFLICT (name) DO UPDATE
         SET concurrency = CASE WHEN $2 THEN excluded.concurrency ELSE pool.concurrency END,
             paused = coalesce($4, pool.paused),
             updated_at = excluded.updated_at",
        name,
        concurrency.is_some(),
        concurrency.flatten(),
        paused,
        now,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_has_a_name_that_fits_an_address() {
        for good in ["default", "imaging", "gpu-1", "a", "a_b", &"a".repeat(63)] {
            assert!(is_pool_name(good), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a b", "a/b", "é", &"a".repeat(64)] {
            assert!(!is_pool_name(bad), "{bad}");
        }
    }
}
