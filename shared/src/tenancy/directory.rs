//! What the platform asks before a tenant is known: who calls.

use chrono::{DateTime, Utc};

use super::{ApiKey, Role};
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
