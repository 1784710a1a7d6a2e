//! API keys as their owners see and manage them: everything but the key itself.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use super::{ApiKey, Role, Scopes};
use crate::{
    db::{DbError, Operator, PlatformTx, Registrar, TenantTx},
    ids::{ApiKeyId, TenantId, UserId},
};

/// A key, without its secret.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct StoredKey {
    /// The key's name in addresses and logs.
    pub id: ApiKeyId,
    /// What people call it.
    pub name: String,
    /// What it begins with, to tell it from others.
    pub prefix: String,
    /// What it may do, as far as its maker may do it too.
    pub role: Role,
    /// What it is confined to; null = to nothing.
    #[schema(required)]
    pub scopes: Option<Vec<String>>,
    /// The person who made it; null = it was made on the command line, or with its tenant.
    #[schema(required)]
    pub created_by: Option<UserId>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends by itself; null = never.
    #[schema(required)]
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute; null = never.
    #[schema(required)]
    pub last_used_at: Option<DateTime<Utc>>,
    /// Since when it is refused; null = it is not revoked.
    #[schema(required)]
    pub revoked_at: Option<DateTime<Utc>>,
    /// Requests a second that it may make; null = as many as the plan says.
    #[schema(required)]
    pub rate_limit_per_second: Option<i32>,
}

/// A key to be.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Its name.
    pub id: ApiKeyId,
    /// What people call it, 1 to 200 characters.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// What it is confined to.
    pub scopes: Scopes,
    /// Who makes it.
    pub maker: KeyMaker,
    /// When it ends by itself; absent = never.
    pub expires_at: Option<DateTime<Utc>>,
    /// Requests a second, 1 to 100 000; absent = as many as the plan says.
    pub rate_limit_per_second: Option<i32>,
}

/// Who makes a key. A key that is made with a key has that one's maker: nobody outlives being lowered by
/// making a key with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyMaker {
    /// A person.
    User(UserId),
    /// Whoever made this key.
    Key(ApiKeyId),
}

/// Stores the hash of a key of the transaction's tenant.
pub async fn insert_tenant_key(
    tx: &mut TenantTx,
    new: &NewKey,
    key: &ApiKey,
    now: DateTime<Utc>,
) -> Result<StoredKey, DbError> {
    let tenant = tx.tenant().clone();
    insert_key(tx.connection(), Some(&tenant), new, key, now).await
}

/// Stores the hash of a key of the platform.
pub async fn insert_platform_key(
    tx: &mut PlatformTx<Operator>,
    new: &NewKey,
    key: &ApiKey,
    now: DateTime<Utc>,
) -> Result<StoredKey, DbError> {
    insert_key(tx.connection(), None, new, key, now).await
}

async fn insert_key(
    connection: &mut PgConnection,
    tenant: Option<&TenantId>,
    new: &NewKey,
    key: &ApiKey,
    now: DateTime<Utc>,
) -> Result<StoredKey, DbError> {
    let (user, with) = match new.maker {
        KeyMaker::User(user) => (Some(user.as_uuid()), None),
        KeyMaker::Key(key) => (None, Some(key.as_uuid())),
    };
    let scopes = new.scopes.names();
    let stored = sqlx::query_as!(
        StoredKey,
        r#"INSERT INTO api_keys (id, tenant_id, name, role, hash, prefix, created_at, expires_at, scopes,
                               rate_limit_per_second, created_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
                 coalesce($11, (SELECT created_by FROM api_keys WHERE id = $12)))
         RETURNING id AS "id: ApiKeyId", name, prefix, role AS "role: Role", scopes,
                   created_by AS "created_by: UserId", created_at, expires_at, last_used_at, revoked_at,
                   rate_limit_per_second"#,
        new.id.as_uuid(),
        tenant.map(TenantId::as_str),
        new.name,
        new.role.as_str(),
        &key.hash()[..],
        key.display_prefix(),
        now,
        new.expires_at,
        scopes.as_deref(),
        new.rate_limit_per_second,
        user,
        with,
    )
    .fetch_one(connection)
    .await?;
    Ok(stored)
}

/// Most keys of a tenant that are neither revoked nor past their end. Each has a second of its own, so
/// their number is part of what a tenant can ask for at once.
pub const MOST_LIVE_KEYS: u32 = 1000;

/// How many keys of the transaction's tenant are neither revoked nor past their end; counted up to the
/// most that there may be.
pub async fn count_live_keys(tx: &mut TenantTx, now: DateTime<Utc>) -> Result<u32, DbError> {
    let tenant = tx.tenant().clone();
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM (
               SELECT FROM api_keys
               WHERE tenant_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)
               LIMIT $3) AS live"#,
        tenant.as_str(),
        now,
        i64::from(MOST_LIVE_KEYS),
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Revokes a tenant's keys that somebody made who leaves it.
pub(crate) async fn revoke_keys_of(
    tx: &mut PlatformTx<Registrar>,
    tenant: &TenantId,
    maker: UserId,
    now: DateTime<Utc>,
) -> Result<Vec<ApiKeyId>, DbError> {
    let revoked = sqlx::query_scalar!(
        r#"UPDATE api_keys SET revoked_at = $3
           WHERE tenant_id = $1 AND created_by = $2 AND revoked_at IS NULL
           RETURNING id AS "id: ApiKeyId""#,
        tenant.as_str(),
        maker.as_uuid(),
        now,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(revoked)
}

/// A page of the transaction's tenant's keys before the given one, newest first.
pub async fn list_tenant_keys(
    tx: &mut TenantTx,
    before: Option<ApiKeyId>,
    limit: i64,
) -> Result<Vec<StoredKey>, DbError> {
    let tenant = tx.tenant().clone();
    select_keys(tx.connection(), Some(&tenant), None, before, limit).await
}

/// A page of the platform's keys before the given one, newest first.
pub async fn list_platform_keys(
    tx: &mut PlatformTx<Operator>,
    before: Option<ApiKeyId>,
    limit: i64,
) -> Result<Vec<StoredKey>, DbError> {
    select_keys(tx.connection(), None, None, before, limit).await
}

/// One key of the transaction's tenant.
pub async fn find_tenant_key(
    tx: &mut TenantTx,
    id: ApiKeyId,
) -> Result<Option<StoredKey>, DbError> {
    let tenant = tx.tenant().clone();
    let found = select_keys(tx.connection(), Some(&tenant), Some(id), None, 1).await?;
    Ok(found.into_iter().next())
}

/// One key of the platform.
pub async fn find_platform_key(
    tx: &mut PlatformTx<Operator>,
    id: ApiKeyId,
) -> Result<Option<StoredKey>, DbError> {
    let found = select_keys(tx.connection(), None, Some(id), None, 1).await?;
    Ok(found.into_iter().next())
}

async fn select_keys(
    connection: &mut PgConnection,
    tenant: Option<&TenantId>,
    id: Option<ApiKeyId>,
    before: Option<ApiKeyId>,
    limit: i64,
) -> Result<Vec<StoredKey>, DbError> {
    let keys = sqlx::query_as!(
        StoredKey,
        r#"SELECT id AS "id: ApiKeyId", name, prefix, role AS "role: Role", scopes,
                  created_by AS "created_by: UserId", created_at, expires_at, last_used_at, revoked_at,
                  rate_limit_per_second
           FROM api_keys
           WHERE (tenant_id = $1 OR ($1::text IS NULL AND tenant_id IS NULL))
             AND ($2::uuid IS NULL OR id = $2) AND ($3::uuid IS NULL OR id < $3)
           ORDER BY id DESC
           LIMIT $4"#,
        tenant.map(TenantId::as_str),
        id.map(|id| id.as_uuid()),
        before.map(|id| id.as_uuid()),
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(keys)
}

/// Whether there is such a key, and it is not this tenant's.
pub async fn is_key_elsewhere(
    tx: &mut PlatformTx<Operator>,
    id: ApiKeyId,
    tenant: &TenantId,
) -> Result<bool, DbError> {
    let found = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM api_keys WHERE id = $1 AND tenant_id IS DISTINCT FROM $2) AS "found!""#,
        id.as_uuid(),
        tenant.as_str(),
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(found)
}

/// Revokes a key of the transaction's tenant. The answer is whether there is such a key; one that is
/// revoked already keeps its time.
pub async fn revoke_tenant_key(
    tx: &mut TenantTx,
    id: ApiKeyId,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let tenant = tx.tenant().clone();
    revoke_key(tx.connection(), Some(&tenant), id, now).await
}

/// Revokes a key of the platform. The answer is whether there is such a key.
pub async fn revoke_platform_key(
    tx: &mut PlatformTx<Operator>,
    id: ApiKeyId,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    revoke_key(tx.connection(), None, id, now).await
}

async fn revoke_key(
    connection: &mut PgConnection,
    tenant: Option<&TenantId>,
    id: ApiKeyId,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let done = sqlx::query!(
        "UPDATE api_keys SET revoked_at = coalesce(revoked_at, $3)
         WHERE id = $2 AND (tenant_id = $1 OR ($1::text IS NULL AND tenant_id IS NULL))",
        tenant.map(TenantId::as_str),
        id.as_uuid(),
        now,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
