//! What the platform asks across tenants: who calls, and what limits hold.

use chrono::{DateTime, Utc};

use super::{ApiKey, JobLimits, Role, job_limits_of};
use crate::{
    db::{Authenticator, DbError, Engine, PlatformTx},
    ids::{ApiKeyId, TenantId},
    queue::ShardId,
    tenancy::TenantStatus,
};

/// The owner of a valid key.
#[derive(Debug, Clone)]
pub struct KeyOwner {
    /// The key's name in logs.
    pub key_id: ApiKeyId,
    /// Its tenant; absent for a system administrator.
    pub tenant_id: Option<TenantId>,
    /// The tenant's status; absent for a system administrator.
    pub tenant_status: Option<TenantStatus>,
    /// What the key may do.
    pub role: Role,
}

/// Finds the owner of a key that is neither revoked nor past its end.
pub async fn find_key_owner(
    tx: &mut PlatformTx<Authenticator>,
    key: &ApiKey,
    now: DateTime<Utc>,
) -> Result<Option<KeyOwner>, DbError> {
    let owner = sqlx::query_as!(
        KeyOwner,
        r#"SELECT key.id AS "key_id: ApiKeyId", key.tenant_id AS "tenant_id: TenantId",
                  tenant.status AS "tenant_status?: TenantStatus", key.role AS "role: Role"
           FROM api_keys AS key LEFT JOIN tenants AS tenant ON tenant.id = key.tenant_id
           WHERE key.hash = $1 AND key.revoked_at IS NULL AND (key.expires_at IS NULL OR key.expires_at > $2)"#,
        &key.hash()[..],
        now,
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(owner)
}

/// Job limits of a shard's tenants after the given one, by slug.
pub async fn select_job_limits_page(
    tx: &mut PlatformTx<Engine>,
    shard: ShardId,
    after: Option<&TenantId>,
    limit: i64,
) -> Result<Vec<(TenantId, JobLimits)>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: TenantId", plan, max_concurrent, weight FROM tenants
           WHERE shard = $1 AND ($2::text IS NULL OR id > $2)
           ORDER BY id LIMIT $3"#,
        shard.0,
        after.map(TenantId::as_str),
        limit,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            (
                row.id,
                job_limits_of(&row.plan, row.max_concurrent, row.weight),
            )
        })
        .collect())
}
