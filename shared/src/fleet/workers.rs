//! Worker processes that give signs of life.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{
    db::{DbError, Operator, PlatformTx},
    ids::WorkerId,
};

/// A worker process that lives.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct LiveWorker {
    /// This start of the process.
    pub id: WorkerId,
    /// The pool that it belongs to.
    pub pool: String,
    /// The host that it runs on.
    pub host: String,
    /// The version of its program.
    pub version: String,
    /// The kinds of jobs that it takes.
    pub kinds: Vec<String>,
    /// Jobs that it takes at once now; 0 where its pool is paused, or it is about to stop.
    pub concurrency: i32,
    /// Jobs that it had in hand at its last heartbeat.
    pub running: i32,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// Its last sign of life.
    pub heartbeat_at: DateTime<Utc>,
}

/// Workers that have not stopped and gave a sign of life after `alive_since`, by id, that is by their
/// start: those after the given one, of one pool or of all.
pub async fn list_live_workers(
    tx: &mut PlatformTx<Operator>,
    alive_since: DateTime<Utc>,
    pool: Option<&str>,
    after: Option<WorkerId>,
    limit: i64,
) -> Result<Vec<LiveWorker>, DbError> {
    let workers = sqlx::query_as!(
        LiveWorker,
        r#"SELECT id AS "id: WorkerId", pool, host, version, kinds, concurrency, running, started_at, heartbeat_at
           FROM workers
           WHERE stopped_at IS NULL AND heartbeat_at > $1
             AND ($2::text IS NULL OR pool = $2)
             AND ($3::uuid IS NULL OR id > $3)
           ORDER BY id
           LIMIT $4"#,
        alive_since,
        pool,
        after.map(|id| id.as_uuid()),
        limit,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(workers)
}
