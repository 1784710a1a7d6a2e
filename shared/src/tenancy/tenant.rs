//! A tenant, and the statements that make and read one.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, types::Json};

use super::{
    ApiKey, JobLimits, OwnJobLimits, Plan, QuotaOverrides, ResourceQuota, Role, TenantStatus,
};
use crate::{
    db::{DbError, Operator, PlatformTx, TenantTx},
    ids::{ApiKeyId, TenantId, TenantUid, UserId},
};

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
    /// Since when it is suspended; of a deleted one, whether it was. Null = it is not.
    #[schema(required)]
    pub suspended_at: Option<DateTime<Utc>>,
    /// When it was deleted; null = it was not.
    #[schema(required)]
    pub deleted_at: Option<DateTime<Utc>>,
    /// Until when a deleted tenant can be restored; afterwards it is purged. Null = it is not deleted.
    #[schema(required)]
    pub purge_after: Option<DateTime<Utc>>,
    /// The operator's words for the last step of its life; null = none were given.
    #[schema(required)]
    pub status_reason: Option<String>,
    /// What was agreed on besides the plan.
    #[serde(skip)]
    pub own_quota: QuotaOverrides,
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

/// Writes the tenant, its first administrator and the counter of its events, and answers whether the
/// administrator can log in with this very password: not if somebody of that address was known before.
/// A slug that is taken violates `tenants_pkey`.
pub async fn insert_tenant(
    tx: &mut PlatformTx<Operator>,
    tenant: &NewTenant,
    admin: &NewAdmin,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
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

/// A person who is known already keeps their password and becomes administrator of this tenant too; the
/// answer is whether they are new.
async fn insert_admin(
    connection: &mut PgConnection,
    tenant: &TenantId,
    admin: &NewAdmin,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let written = sqlx::query!(
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
    // Whatever its quota is, a tenant has its first administrator.
    sqlx::query!(
        "INSERT INTO quota_usage (tenant_id, name, used) VALUES ($1, 'users', 1)",
        tenant.as_str(),
    )
    .execute(&mut *connection)
    .await?;
    Ok(written.rows_affected() == 1)
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

/// Which tenants a listing shows.
#[derive(Debug, Clone, Default)]
pub struct TenantFilter {
    /// In this state; absent = in every state but `purged`.
    pub status: Option<TenantStatus>,
    /// On this plan; absent = on any.
    pub plan: Option<Plan>,
    /// With this text in their slug or name, whatever its case; absent = all.
    pub text: Option<String>,
}

/// The transaction's own tenant.
pub async fn find_tenant(tx: &mut TenantTx) -> Result<Option<Tenant>, DbError> {
    let id = tx.tenant().clone();
    select_tenant(tx.connection(), &id).await
}

/// The transaction's own tenant, which nobody else changes until it ends.
pub async fn lock_own_tenant(tx: &mut TenantTx) -> Result<Option<Tenant>, DbError> {
    let id = tx.tenant().clone();
    lock(tx.connection(), &id).await
}

/// A tenant that nobody else changes until this transaction ends; the platform is none.
pub async fn lock_tenant(
    tx: &mut PlatformTx<Operator>,
    id: &TenantId,
) -> Result<Option<Tenant>, DbError> {
    if id.is_platform() {
        return Ok(None);
    }
    lock(tx.connection(), id).await
}

/// A page of tenants after the given one, by slug. The platform is none of them.
pub async fn list_tenants(
    tx: &mut PlatformTx<Operator>,
    filter: &TenantFilter,
    after: Option<&TenantId>,
    limit: i64,
) -> Result<Vec<Tenant>, DbError> {
    let rows = sqlx::query_as!(
        TenantRow,
        r#"SELECT id AS "id: TenantId", uid AS "uid: TenantUid", name, plan AS "plan: Plan",
                  status AS "status: TenantStatus", resource_quota AS "quota: Json<QuotaOverrides>",
                  max_concurrent, weight, max_waiting,
                  per_kind AS "per_kind: Json<BTreeMap<String, u32>>", version, created_at, updated_at,
                  suspended_at, deleted_at, purge_after, status_reason
           FROM tenants
           WHERE id <> 'platform' AND ($1::text IS NULL OR id > $1)
             AND CASE WHEN $2::text IS NULL THEN status <> 'purged' ELSE status = $2 END
             AND ($3::text IS NULL OR plan = $3)
             AND ($4::text IS NULL OR strpos(id, lower($4)) > 0 OR strpos(lower(name), lower($4)) > 0)
           ORDER BY id
           LIMIT $5"#,
        after.map(TenantId::as_str),
        filter.status.map(TenantStatus::as_str),
        filter.plan.map(Plan::as_str),
        filter.text,
        limit,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows.into_iter().map(TenantRow::tenant).collect())
}

async fn lock(connection: &mut PgConnection, id: &TenantId) -> Result<Option<Tenant>, DbError> {
    sqlx::query_scalar!(
        "SELECT version FROM tenants WHERE id = $1 FOR UPDATE",
        id.as_str()
    )
    .fetch_optional(&mut *connection)
    .await?;
    // Read anew: the row may have changed while it was waited for.
    select_tenant(connection, id).await
}

async fn select_tenant(
    connection: &mut PgConnection,
    id: &TenantId,
) -> Result<Option<Tenant>, DbError> {
    let row = sqlx::query_as!(
        TenantRow,
        r#"SELECT id AS "id: TenantId", uid AS "uid: TenantUid", name, plan AS "plan: Plan",
                  status AS "status: TenantStatus", resource_quota AS "quota: Json<QuotaOverrides>",
                  max_concurrent, weight, max_waiting,
                  per_kind AS "per_kind: Json<BTreeMap<String, u32>>", version, created_at, updated_at,
                  suspended_at, deleted_at, purge_after, status_reason
           FROM tenants WHERE id = $1"#,
        id.as_str(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(TenantRow::tenant))
}

struct TenantRow {
    id: TenantId,
    uid: TenantUid,
    name: String,
    plan: Plan,
    status: TenantStatus,
    quota: Json<QuotaOverrides>,
    max_concurrent: Option<i32>,
    weight: Option<i32>,
    max_waiting: Option<i32>,
    per_kind: Json<BTreeMap<String, u32>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    suspended_at: Option<DateTime<Utc>>,
    deleted_at: Option<DateTime<Utc>>,
    purge_after: Option<DateTime<Utc>>,
    status_reason: Option<String>,
}

impl TenantRow {
    fn tenant(self) -> Tenant {
        Tenant {
            namespace: self.id.namespace(),
            id: self.id,
            uid: self.uid,
            name: self.name,
            status: self.status,
            resource_quota: self.quota.0.or(self.plan.default_quota()),
            own_quota: self.quota.0,
            job_limits: OwnJobLimits {
                max_concurrent: self.max_concurrent,
                weight: self.weight,
                per_kind: self.per_kind.0,
                max_waiting: self.max_waiting,
            }
            .or(self.plan),
            plan: self.plan,
            created_at: self.created_at,
            updated_at: self.updated_at,
            suspended_at: self.suspended_at,
            deleted_at: self.deleted_at,
            purge_after: self.purge_after,
            status_reason: self.status_reason,
            version: self.version,
        }
    }
}
