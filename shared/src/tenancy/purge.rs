//! Taking a tenant's rows away, in the role `unity_purger`, which can delete the rows of tenants in
//! the state `purging` and no others.
//!
//! Every function may be called again: what is gone is gone. The order is the caller's, see the job
//! `hard_delete_tenant`.

use chrono::{DateTime, Utc};

use super::TenantStatus;
use crate::{
    db::{DbError, Engine, PlatformTx, Purger},
    ids::{JobId, TenantId, TenantUid},
    queue::ShardId,
};

/// Tables whose rows of the tenant go, in this order: a row goes before what it refers to, and the counter
/// before the events, since without it none can be written. People go with their memberships, see
/// [`purge_people`]; a test compares the list with the catalogue.
pub const PURGED_TABLES: &[&str] = &[
    "job_attempts",
    "event_counters",
    "events",
    "jobs",
    "switches",
    "act_as_grants",
    "api_keys",
    "identities",
    "identity_providers",
    "sign_ins",
    "memberships",
    "invitations",
    "idempotency_keys",
    "quota_usage",
];

/// Tables whose rows of a purged tenant stay.
pub const KEPT_TABLES: &[&str] = &[
    // The tombstone: slug and uid are never used again.
    "tenants",
    // Who did what is to be found after the tenant is gone: nobody can take an entry away, no role at all.
    "audit_log",
    "audit_heads",
];

/// A tenant as the purge sees it.
#[derive(Debug, Clone)]
pub struct Purgeable {
    /// Its identity, which its namespace carries.
    pub uid: TenantUid,
    /// Where it is in its life.
    pub status: TenantStatus,
    /// When its grace period ends; absent = it was not deleted.
    pub purge_after: Option<DateTime<Utc>>,
}

/// The tenant of this slug; the platform is none.
pub async fn find_purgeable(
    tx: &mut PlatformTx<Purger>,
    tenant: &TenantId,
) -> Result<Option<Purgeable>, DbError> {
    let found = sqlx::query_as!(
        Purgeable,
        r#"SELECT uid AS "uid: TenantUid", status AS "status: TenantStatus", purge_after
           FROM tenants WHERE id = $1 AND id <> 'platform'"#,
        tenant.as_str(),
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(found)
}

/// From `deleted` to `purging`, if the grace period is over; false = it is not, or it was restored.
pub async fn start_purge(
    tx: &mut PlatformTx<Purger>,
    tenant: &TenantId,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let started = sqlx::query!(
        "UPDATE tenants SET status = 'purging', version = version + 1, updated_at = $2
         WHERE id = $1 AND status = 'deleted' AND purge_after <= $2",
        tenant.as_str(),
        now,
    )
    .execute(tx.connection())
    .await?;
    Ok(started.rows_affected() == 1)
}

/// Ends at most `most` of the tenant's waiting jobs and answers them: the gate should forget them.
pub async fn end_waiting_jobs(
    tx: &mut PlatformTx<Purger>,
    tenant: &TenantId,
    most: i64,
    now: DateTime<Utc>,
) -> Result<Vec<JobId>, DbError> {
    let ended = sqlx::query_scalar!(
        r#"UPDATE jobs SET status = 'cancelled', finished_at = $3
           WHERE tenant_id = $1 AND id = ANY (ARRAY(
               SELECT id FROM jobs WHERE tenant_id = $1 AND status IN ('scheduled', 'queued', 'retrying')
               LIMIT $2))
             AND status IN ('scheduled', 'queued', 'retrying')
           RETURNING id AS "id: JobId""#,
        tenant.as_str(),
        most,
        now,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(ended)
}

/// Wishes that the tenant's running jobs end, and answers them; their workers have to be told.
pub async fn stop_running_jobs(
    tx: &mut PlatformTx<Purger>,
    tenant: &TenantId,
    now: DateTime<Utc>,
) -> Result<Vec<JobId>, DbError> {
    let running = sqlx::query_scalar!(
        r#"UPDATE jobs SET cancel_requested_at = coalesce(cancel_requested_at, $2)
           WHERE tenant_id = $1 AND status = 'running'
           RETURNING id AS "id: JobId""#,
        tenant.as_str(),
        now,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(running)
}

/// Takes at most `most` of the tenant's rows of one table away and answers how many there were.
pub async fn purge_rows(
    tx: &mut PlatformTx<Purger>,
    table: &'static str,
    tenant: &TenantId,
    most: i32,
) -> Result<i64, DbError> {
    let gone = sqlx::query_scalar!(
        r#"SELECT purge_rows($1, $2, $3) AS "gone!""#,
        table,
        tenant.as_str(),
        most,
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(gone)
}

/// Takes at most `most` memberships away, and with each the person who belongs to no other tenant and
/// is nobody's administrator of the platform.
/// Answers how many memberships there were.
pub async fn purge_people(
    tx: &mut PlatformTx<Purger>,
    tenant: &TenantId,
    most: i64,
) -> Result<i64, DbError> {
    let gone = sqlx::query_scalar!(
        r#"WITH gone AS (
               DELETE FROM memberships
               WHERE tenant_id = $1 AND user_id = ANY (ARRAY(
                   SELECT user_id FROM memberships WHERE tenant_id = $1 LIMIT $2))
               RETURNING user_id
           ), people AS (
               DELETE FROM users USING gone
               WHERE users.id = gone.user_id AND users.platform_role IS NULL
                 AND NOT EXISTS (SELECT FROM memberships AS other
                                 WHERE other.user_id = users.id AND other.tenant_id <> $1)
           )
           SELECT count(*) AS "gone!" FROM gone"#,
        tenant.as_str(),
        most,
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(gone)
}

/// From `purging` to `purged`: what is left says that there was a tenant of this slug and uid.
pub async fn bury_tenant(
    tx: &mut PlatformTx<Purger>,
    tenant: &TenantId,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let buried = sqlx::query!(
        "UPDATE tenants
         SET status = 'purged', purged_at = $2, name = 'purged', status_reason = NULL, resource_quota = '{}',
             max_concurrent = NULL, weight = NULL, per_kind = '{}', max_waiting = NULL,
             version = version + 1, updated_at = $2
         WHERE id = $1 AND status = 'purging'",
        tenant.as_str(),
        now,
    )
    .execute(tx.connection())
    .await?;
    Ok(buried.rows_affected() == 1)
}

/// Tenants whose purge is to be ordered: their grace period is over, and no job for it waits, runs, or
/// has ended since `not_since`. Of two who ask at once the second gets none.
pub async fn select_tenants_to_purge(
    tx: &mut PlatformTx<Engine>,
    shard: ShardId,
    not_since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Vec<TenantId>, DbError> {
    let is_first = sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_xact_lock(hashtext('unity: order purges')) AS "is_first!""#
    )
    .fetch_one(tx.connection())
    .await?;
    if !is_first {
        return Ok(Vec::new());
    }
    let due = sqlx::query_scalar!(
        r#"SELECT id AS "id: TenantId" FROM tenants AS tenant
           WHERE shard = $1 AND status IN ('deleted', 'purging') AND purge_after <= $2
             AND NOT EXISTS (SELECT FROM jobs
                             WHERE tenant_id = 'platform' AND resource_key = 'purge:' || tenant.id
                               AND kind = 'hard_delete_tenant'
                               AND (finished_at IS NULL OR finished_at > $3))
           ORDER BY purge_after
           LIMIT 100"#,
        shard.0,
        now,
        not_since,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(due)
}
