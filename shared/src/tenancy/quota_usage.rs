//! What a tenant uses of its quotas.
//!
//! A thing that a quota counts takes its place in the transaction that makes it. The statement that
//! takes it holds the row's lock and compares with the limit in force, so of two transactions that
//! race for the last place one waits, and then finds it taken. Lowering a quota below what is used
//! removes nothing; nothing new is taken until enough was given back.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use super::{Plan, Quota};
use crate::{
    db::{DbError, Operator, PlatformTx, Registrar, TenantTx},
    ids::TenantId,
};

/// A tenant has as much of something as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaFull {
    /// Of what.
    pub quota: Quota,
    /// Most that it may have.
    pub limit: u32,
    /// What it has.
    pub used: u32,
}

/// Why no place was taken.
#[derive(Debug, thiserror::Error)]
pub enum QuotaError {
    /// There is none.
    #[error("the tenant has {} of {} {}", .0.used, .0.limit, .0.quota.name())]
    Full(QuotaFull),
    /// There is no tenant of this name.
    #[error("there is no such tenant")]
    NoTenant,
    /// More was to be given back than was taken: a defect of whoever counts.
    #[error("more places were given back than were taken")]
    NotTaken,
    /// The record did not answer.
    #[error("could not count what the tenant uses")]
    Database(#[from] DbError),
}

/// Takes `places` of the transaction's own tenant for things that the same transaction makes.
pub async fn reserve_quota(tx: &mut TenantTx, quota: Quota, places: u32) -> Result<(), QuotaError> {
    let tenant = tx.tenant().clone();
    reserve(tx.connection(), &tenant, quota, places).await
}

/// The same for an operator who acts on a tenant.
pub async fn reserve_quota_as_operator(
    tx: &mut PlatformTx<Operator>,
    tenant: &TenantId,
    quota: Quota,
    places: u32,
) -> Result<(), QuotaError> {
    reserve(tx.connection(), tenant, quota, places).await
}

/// Gives `places` of the transaction's own tenant back, for things that the same transaction removes.
pub async fn release_quota(tx: &mut TenantTx, quota: Quota, places: u32) -> Result<(), QuotaError> {
    let tenant = tx.tenant().clone();
    give_back(tx.connection(), &tenant, quota, places).await
}

/// The same for an operator who acts on a tenant.
pub async fn release_quota_as_operator(
    tx: &mut PlatformTx<Operator>,
    tenant: &TenantId,
    quota: Quota,
    places: u32,
) -> Result<(), QuotaError> {
    give_back(tx.connection(), tenant, quota, places).await
}

/// The same for somebody who comes in.
pub async fn reserve_quota_as_registrar(
    tx: &mut PlatformTx<Registrar>,
    tenant: &TenantId,
    quota: Quota,
    places: u32,
) -> Result<(), QuotaError> {
    reserve(tx.connection(), tenant, quota, places).await
}

/// The same for somebody who comes in where they are already.
pub async fn release_quota_as_registrar(
    tx: &mut PlatformTx<Registrar>,
    tenant: &TenantId,
    quota: Quota,
    places: u32,
) -> Result<(), QuotaError> {
    give_back(tx.connection(), tenant, quota, places).await
}

/// Writes what a cluster counts itself, in whole units of the quota.
pub async fn record_cluster_use(tx: &mut TenantTx, quota: Quota, used: u32) -> Result<(), DbError> {
    let tenant = tx.tenant().clone();
    sqlx::query!(
        "INSERT INTO quota_usage (tenant_id, name, used) VALUES ($1, $2, $3)
         ON CONFLICT (tenant_id, name) DO UPDATE SET used = excluded.used",
        tenant.as_str(),
        quota.name(),
        i64::from(used),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// What the transaction's own tenant uses, by the quota's name. A quota of which nothing was ever used,
/// or which nobody has counted yet, is absent.
pub async fn list_quota_usage(tx: &mut TenantTx) -> Result<BTreeMap<String, u32>, DbError> {
    let tenant = tx.tenant().clone();
    let rows = sqlx::query!(
        "SELECT name, used FROM quota_usage WHERE tenant_id = $1",
        tenant.as_str(),
    )
    .fetch_all(tx.connection())
    .await?;
    let used = rows.into_iter().map(|row| (row.name, narrow(row.used)));
    Ok(used.collect())
}

async fn reserve(
    connection: &mut PgConnection,
    tenant: &TenantId,
    quota: Quota,
    places: u32,
) -> Result<(), QuotaError> {
    if take_places(connection, tenant, quota, places).await? {
        return Ok(());
    }
    Err(match count(connection, tenant, quota).await? {
        Some((limit, used)) => QuotaError::Full(QuotaFull { quota, limit, used }),
        None => QuotaError::NoTenant,
    })
}

/// The tenant's own value, or its plan's.
fn by_plan(quota: Quota) -> [i64; 3] {
    [Plan::Free, Plan::Pro, Plan::Enterprise].map(|plan| quota.of(&plan.default_quota()).into())
}

async fn take_places(
    connection: &mut PgConnection,
    tenant: &TenantId,
    quota: Quota,
    places: u32,
) -> Result<bool, DbError> {
    let [free, pro, enterprise] = by_plan(quota);
    let taken = sqlx::query!(
        "WITH allowed AS (
             SELECT id, coalesce((resource_quota ->> $2)::bigint,
                                 CASE plan WHEN 'free' THEN $4::bigint WHEN 'pro' THEN $5 ELSE $6 END) AS most
             FROM tenants WHERE id = $1
         )
         INSERT INTO quota_usage AS usage (tenant_id, name, used)
         SELECT id, $2, $3 FROM allowed
         WHERE $3::bigint <= most OR EXISTS (SELECT FROM quota_usage WHERE tenant_id = $1 AND name = $2)
         ON CONFLICT (tenant_id, name) DO UPDATE SET used = usage.used + excluded.used
         WHERE usage.used + excluded.used <= (SELECT most FROM allowed)",
        tenant.as_str(),
        quota.name(),
        i64::from(places),
        free,
        pro,
        enterprise,
    )
    .execute(connection)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// Limit in force, and use.
async fn count(
    connection: &mut PgConnection,
    tenant: &TenantId,
    quota: Quota,
) -> Result<Option<(u32, u32)>, DbError> {
    let [free, pro, enterprise] = by_plan(quota);
    let found = sqlx::query!(
        r#"SELECT coalesce((resource_quota ->> $2)::bigint,
                           CASE plan WHEN 'free' THEN $3::bigint WHEN 'pro' THEN $4 ELSE $5 END) AS "most!",
                  coalesce((SELECT used FROM quota_usage WHERE tenant_id = $1 AND name = $2), 0) AS "used!"
           FROM tenants WHERE id = $1"#,
        tenant.as_str(),
        quota.name(),
        free,
        pro,
        enterprise,
    )
    .fetch_optional(connection)
    .await?;
    Ok(found.map(|row| (narrow(row.most), narrow(row.used))))
}

async fn give_back(
    connection: &mut PgConnection,
    tenant: &TenantId,
    quota: Quota,
    places: u32,
) -> Result<(), QuotaError> {
    let given = sqlx::query!(
        "UPDATE quota_usage SET used = used - $3 WHERE tenant_id = $1 AND name = $2 AND used >= $3",
        tenant.as_str(),
        quota.name(),
        i64::from(places),
    )
    .execute(connection)
    .await
    .map_err(DbError::from)?;
    if given.rows_affected() == 1 {
        Ok(())
    } else {
        Err(QuotaError::NotTaken)
    }
}

/// Uses and limits are never negative, and far below this type's end.
fn narrow(value: i64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
