//! What the platform asks before a tenant is known: who calls with a key.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use uuid::Uuid;

use super::{ApiKey, Role, Scopes};
use crate::{
    db::{Authenticator, DbError, PlatformTx},
    ids::{ApiKeyId, TenantId},
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
    /// What the key may do: its own role, and no more than its maker may now.
    pub role: Role,
    /// What it is confined to.
    pub scopes: Scopes,
    /// When it ends by itself; absent = never.
    pub expires_at: Option<DateTime<Utc>>,
    /// Requests a second that it may make; absent = as many as the plan says.
    pub rate_limit_per_second: Option<u32>,
}

/// Finds the owner of a key that is neither revoked nor past its end. A key is worth what its maker is:
/// one whose maker was lowered does less, and one whose maker has left does nothing. A key without a
/// maker was made on the command line, and is worth its own role.
pub async fn find_key_owner(
    tx: &mut PlatformTx<Authenticator>,
    key: &ApiKey,
    now: DateTime<Utc>,
) -> Result<Option<KeyOwner>, DbError> {
    let row = sqlx::query!(
        r#"SELECT key.id AS "key_id: ApiKeyId", key.tenant_id AS "tenant_id: TenantId",
                  tenant.status AS "tenant_status?: TenantStatus", key.role AS "role: Role",
                  key.scopes, key.expires_at, key.rate_limit_per_second,
                  CASE WHEN key.created_by IS NULL THEN key.role
                       WHEN maker.disabled_at IS NOT NULL THEN NULL
                       WHEN key.tenant_id IS NULL THEN maker.platform_role
                       ELSE membership.role END AS "most: Role"
           FROM api_keys AS key
           LEFT JOIN tenants AS tenant ON tenant.id = key.tenant_id
           LEFT JOIN users AS maker ON maker.id = key.created_by
           LEFT JOIN memberships AS membership
                  ON membership.tenant_id = key.tenant_id AND membership.user_id = key.created_by
           WHERE key.hash = $1 AND key.revoked_at IS NULL AND (key.expires_at IS NULL OR key.expires_at > $2)"#,
        &key.hash()[..],
        now,
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(row.and_then(|row| {
        Some(KeyOwner {
            role: row.role.min(row.most?),
            key_id: row.key_id,
            tenant_id: row.tenant_id,
            tenant_status: row.tenant_status,
            scopes: Scopes::read(row.scopes.as_deref()),
            expires_at: row.expires_at,
            rate_limit_per_second: row
                .rate_limit_per_second
                .and_then(|limit| u32::try_from(limit).ok()),
        })
    }))
}

/// Notes that keys were of use, to the minute. One that was noted in this minute is not written again.
pub async fn note_key_uses(
    tx: &mut PlatformTx<Authenticator>,
    keys: &[ApiKeyId],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let ids: Vec<Uuid> = keys.iter().map(ApiKeyId::as_uuid).collect();
    let minute = now.duration_trunc(TimeDelta::minutes(1)).unwrap_or(now);
    sqlx::query!(
        "UPDATE api_keys SET last_used_at = $2
         WHERE id = ANY($1) AND (last_used_at IS NULL OR last_used_at < $2)",
        &ids,
        minute,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
