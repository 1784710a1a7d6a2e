//! A tenant, and the statements that make and read one.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, types::Json};

use super::{ApiKey, JobLimits, OwnJobLimits, Plan, QuotaOverrides, ResourceQuota, Role};
use crate::{
    db::{DbError, Operator, PlatformTx, TenantTx},
    ids::{ApiKeyId, TenantId, TenantUid, UserId},
};

/// Where a tenant is in its life.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    serde::Deserialize,
    sqlx::Type,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum TenantStatus {
    /// In use.
    Active,
    /// Refused everywhere, its jobs held.
    Suspended,
    /// To be purged when its grace period is over.
    Deleted,
    /// Being purged.
    Purging,
    /// Gone; only the tombstone is left.
    Purged,
}

/// One tenant.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Tenant {
    /// The slug.
    #[serde(rename = "tenant_id")]
    pub id: TenantId,
    /// Its immutable identity.
    pub uid: TenantUid,
    /// What people call it.
    pub name: String,
    /// Its plan.
    pub plan: Plan,
    /// Where it is in its life.
    pub status: TenantStatus,
    /// What it may use: its own values, the plan's where it has none.
    pub resource_quota: ResourceQuota,
    /// Its Kubernetes namespace.
    pub namespace: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Rises with every change.
    #[serde(skip)]
    pub version: i64,
    /// How many of its jobs run and wait at once.
    #[serde(skip)]
    pub job_limits: JobLimits,
}

/// A tenant to be.
#[derive(Debug, Clone)]
pub struct NewTenant {
    /// The slug.
    pub id: TenantId,
    /// Its identity.
    pub uid: TenantUid,
    /// What people call it, 1 to 200 characters.
    pub name: String,
    /// Its plan.
    pub plan: Plan,
    /// What was stated; the plan gives the rest.
    pub quota: QuotaOverrides,
}

/// Its first administrator.
#[derive(Debug, Clone)]
pub struct NewAdmin {
    /// Where mail reaches them; also the login name.
    pub email: String,
    /// Argon2id, PHC string.
    pub password_hash: String,
}

/// Writes the tenant, its first administrator and the counter of its events. A slug that is taken
/// violates `tenants_pkey`.
pub async fn insert_tenant(
    tx: &mut PlatformTx<Operator>,
    tenant: &NewTenant,
    admin: &NewAdmin,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let connection = tx.connection();
    sqlx::query!(
        "INSERT INTO tenants (id, uid, name, plan, resource_quota, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $6)",
        tenant.id.as_str(),
        tenant.uid.as_uuid(),
        tenant.name,
        tenant.plan.as_str(),
        Json(tenant.quota) as _,
        now,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "INSERT INTO event_counters (tenant_id) VALUES ($1)",
        tenant.id.as_str()
    )
    .execute(&mut *connection)
    .await?;
    insert_admin(connection, &tenant.id, admin, now).await
}

/// A person who is known already keeps their password and becomes administrator of this tenant too.
async fn insert_admin(
    connection: &mut PgConnection,
    tenant: &TenantId,
    admin: &NewAdmin,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        "INSERT INTO users (id, email, password_hash, must_change_password, created_at)
         VALUES ($1, $2, $3, true, $4)
         ON CONFLICT (lower(email)) DO NOTHING",
        UserId::new().as_uuid(),
        admin.email,
        admin.password_hash,
        now,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "INSERT INTO memberships (tenant_id, user_id, role, created_at)
         SELECT $1, id, 'tenant-admin', $3 FROM users WHERE lower(email) = lower($2)",
        tenant.as_str(),
        admin.email,
        now,
    )
    .execute(&mut *connection)
    .await?;
    Ok(())
}

/// Whether the administrator can log in with this very password: not if somebody of that address was
/// known before and kept their own.
pub async fn has_own_password(
    tx: &mut PlatformTx<Operator>,
    admin: &NewAdmin,
) -> Result<bool, DbError> {
    let own = sqlx::query_scalar!(
        r#"SELECT password_hash = $2 AS "own!" FROM users WHERE lower(email) = lower($1)"#,
        admin.email,
        admin.password_hash,
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(own.unwrap_or(false))
}

/// Stores a key's hash. A system administrator's key has no tenant.
pub async fn insert_api_key(
    tx: &mut PlatformTx<Operator>,
    tenant: Option<&TenantId>,
    role: Role,
    name: &str,
    key: &ApiKey,
    now: DateTime<Utc>,
) -> Result<ApiKeyId, DbError> {
    let id = ApiKeyId::new();
    sqlx::query!(
        "INSERT INTO api_keys (id, tenant_id, name, role, hash, prefix, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        id.as_uuid(),
        tenant.map(TenantId::as_str),
        name,
        role.as_str(),
        &key.hash()[..],
        key.display_prefix(),
        now,
    )
    .execute(tx.connection())
    .await?;
    Ok(id)
}

/// The transaction's own tenant.
pub async fn find_tenant(tx: &mut TenantTx) -> Result<Option<Tenant>, DbError> {
    let id = tx.tenant().clone();
    Ok(select_tenants(tx.connection(), Some(&id), None, 1)
        .await?
        .pop())
}

/// A page of all tenants after the given one, by slug.
pub async fn list_tenants(
    tx: &mut PlatformTx<Operator>,
    after: Option<&TenantId>,
    limit: i64,
) -> Result<Vec<Tenant>, DbError> {
    select_tenants(tx.connection(), None, after, limit).await
}

async fn select_tenants(
    connection: &mut PgConnection,
    id: Option<&TenantId>,
    after: Option<&TenantId>,
    limit: i64,
) -> Result<Vec<Tenant>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: TenantId", uid AS "uid: TenantUid", name, plan AS "plan: Plan",
                  status AS "status: TenantStatus", resource_quota AS "quota: Json<QuotaOverrides>",
                  max_concurrent, weight, max_waiting,
                  per_kind AS "per_kind: Json<BTreeMap<String, u32>>", version, created_at, updated_at
           FROM tenants
           WHERE ($1::text IS NULL OR id = $1) AND ($2::text IS NULL OR id > $2)
           ORDER BY id
           LIMIT $3"#,
        id.map(TenantId::as_str),
        after.map(TenantId::as_str),
        limit,
    )
    .fetch_all(connection)
    .await?;
    let tenants = rows.into_iter().map(|row| Tenant {
        namespace: row.id.namespace(),
        id: row.id,
        uid: row.uid,
        name: row.name,
        status: row.status,
        resource_quota: row.quota.0.or(row.plan.default_quota()),
        job_limits: OwnJobLimits {
            max_concurrent: row.max_concurrent,
            weight: row.weight,
            per_kind: row.per_kind.0,
            max_waiting: row.max_waiting,
        }
        .or(row.plan),
        plan: row.plan,
        created_at: row.created_at,
        updated_at: row.updated_at,
        version: row.version,
    });
    Ok(tenants.collect())
}
