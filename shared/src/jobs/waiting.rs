//! How many jobs of a tenant wait: scheduled, queued or retrying.
//!
//! Whoever must not pass a cap takes the tenants' locks, counts, and writes, in one transaction: of two
//! that come together the later one counts what the earlier one wrote.

use std::collections::HashMap;

use sqlx::PgConnection;

use crate::{
    db::{DbError, Engine, PlatformTx, TenantTx},
    ids::TenantId,
};

/// How many of a tenant's jobs wait, counted up to `most`.
pub async fn count_waiting(tx: &mut TenantTx, most: u32) -> Result<u32, DbError> {
    let tenant = tx.tenant().clone();
    let counts = select_waiting(tx.connection(), &[(&tenant, most)]).await?;
    Ok(counts.get(&tenant).copied().unwrap_or(0))
}

/// How many jobs of each of these tenants wait, each counted up to its own `most`.
pub async fn count_waiting_of(
    tx: &mut PlatformTx<Engine>,
    tenants: &[(&TenantId, u32)],
) -> Result<HashMap<TenantId, u32>, DbError> {
    select_waiting(tx.connection(), tenants).await
}

/// Waits until no other transaction holds the lock on what waits for this tenant, and keeps it until
/// the end of this one.
pub async fn lock_waiting(tx: &mut TenantTx) -> Result<(), DbError> {
    let tenant = tx.tenant().clone();
    take_locks(tx.connection(), &[&tenant]).await
}

/// The same for several tenants.
pub async fn lock_waiting_of(
    tx: &mut PlatformTx<Engine>,
    tenants: &[&TenantId],
) -> Result<(), DbError> {
    take_locks(tx.connection(), tenants).await
}

/// How many of a tenant's jobs wait for their time (scheduled or retrying), counted up to `most`.
pub async fn count_later(tx: &mut TenantTx, most: u32) -> Result<u32, DbError> {
    let tenant = tx.tenant().clone();
    let later = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM
               (SELECT FROM jobs
                WHERE tenant_id = $1 AND status IN ('scheduled', 'retrying')
                LIMIT $2) AS counted"#,
        tenant.as_str(),
        i64::from(most),
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(u32::try_from(later).unwrap_or(u32::MAX))
}

async fn select_waiting(
    connection: &mut PgConnection,
    tenants: &[(&TenantId, u32)],
) -> Result<HashMap<TenantId, u32>, DbError> {
    let names: Vec<String> = tenants.iter().map(|(id, _)| id.to_string()).collect();
    let most: Vec<i64> = tenants.iter().map(|(_, most)| i64::from(*most)).collect();
    let rows = sqlx::query!(
        r#"SELECT wanted.tenant_id AS "tenant_id!: TenantId", counted.waiting AS "waiting!"
           FROM unnest($1::text[], $2::bigint[]) AS wanted (tenant_id, most)
           CROSS JOIN LATERAL
               (SELECT count(*) AS waiting FROM
                    (SELECT FROM jobs
                     WHERE tenant_id = wanted.tenant_id AND status IN ('scheduled', 'queued', 'retrying')
                     LIMIT wanted.most) AS found) AS counted"#,
        &names,
        &most,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            (
                row.tenant_id,
                u32::try_from(row.waiting).unwrap_or(u32::MAX),
            )
        })
        .collect())
}

async fn take_locks(connection: &mut PgConnection, tenants: &[&TenantId]) -> Result<(), DbError> {
    let names: Vec<String> = tenants.iter().map(ToString::to_string).collect();
    sqlx::query!(r#"SELECT take_locks($1, NULL, 1)::text AS held"#, &names,)
        .fetch_all(connection)
        .await?;
    Ok(())
}
