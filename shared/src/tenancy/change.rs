//! What of a tenant can be changed: its name, its plan, its own quotas.

use chrono::{DateTime, Utc};
use sqlx::types::Json;

use super::{Plan, QuotaOverrides};
use crate::{
    db::{DbError, Operator, PlatformTx, TenantTx},
    ids::TenantId,
};

/// A tenant's values as they are to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantChange {
    /// What people call it, 1 to 200 characters.
    pub name: String,
    /// Its plan.
    pub plan: Plan,
    /// What is agreed on besides the plan.
    pub quota: QuotaOverrides,
}

/// Changes a tenant that is at `version`; false = it has changed since.
pub async fn update_tenant(
    tx: &mut PlatformTx<Operator>,
    tenant: &TenantId,
    change: &TenantChange,
    version: i64,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let updated = sqlx::query!(
        "UPDATE tenants
         SET name = $2, plan = $3, resource_quota = $4, version = version + 1, updated_at = $6
         WHERE id = $1 AND version = $5 AND status IN ('active', 'suspended')",
        tenant.as_str(),
        change.name,
        change.plan.as_str(),
        Json(change.quota) as _,
        version,
        now,
    )
    .execute(tx.connection())
    .await?;
    Ok(updated.rows_affected() == 1)
}

/// Gives the transaction's own tenant, at `version`, another name; false = it has changed since.
pub async fn rename_tenant(
    tx: &mut TenantTx,
    name: &str,
    version: i64,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let tenant = tx.tenant().clone();
    let updated = sqlx::query!(
        "UPDATE tenants SET name = $2, version = version + 1, updated_at = $4
         WHERE id = $1 AND version = $3 AND status = 'active'",
        tenant.as_str(),
        name,
        version,
        now,
    )
    .execute(tx.connection())
    .await?;
    Ok(updated.rows_affected() == 1)
}
