//! Sign-ins that were begun and wait for the provider's answer: each is taken once, within ten
//! minutes, by the browser that began it.

use chrono::{DateTime, TimeDelta, Utc};

use crate::db::{DbError, TenantTx};

/// How long a sign-in may take.
pub const SIGN_IN_LASTS: TimeDelta = TimeDelta::minutes(10);
/// Sign-ins of a tenant that wait at the same time; more void the oldest.
const MOST_WAITING: i64 = 1000;

/// Begins a sign-in to the transaction's tenant. What is past its end, or too much, is forgotten.
pub async fn begin_sign_in(
    tx: &mut TenantTx,
    state_hash: &[u8],
    browser_hash: &[u8],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    forget_sign_ins(tx, now).await?;
    let tenant = tx.tenant().clone();
    sqlx::query!(
        "INSERT INTO sign_ins (tenant_id, state_hash, browser_hash, expires_at) VALUES ($1, $2, $3, $4)",
        tenant.as_str(),
        state_hash,
        browser_hash,
        now + SIGN_IN_LASTS,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

async fn forget_sign_ins(tx: &mut TenantTx, now: DateTime<Utc>) -> Result<(), DbError> {
    let tenant = tx.tenant().clone();
    sqlx::query!(
        r#"SELECT count(*) AS "gone!" FROM delete_own_sign_ins(ARRAY(
               SELECT state_hash FROM sign_ins
               WHERE tenant_id = $1
                 AND (expires_at <= $2 OR state_hash IN (SELECT state_hash FROM sign_ins WHERE tenant_id = $1
                                                         ORDER BY expires_at DESC OFFSET $3))))"#,
        tenant.as_str(),
        now,
        MOST_WAITING,
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(())
}

/// Takes a sign-in of the transaction's tenant away, and answers whether it was begun by this browser
/// and is not past its end. Whatever the answer, it cannot be taken again once this is committed.
pub async fn take_sign_in(
    tx: &mut TenantTx,
    state_hash: &[u8],
    browser_hash: &[u8],
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let taken = sqlx::query_scalar!(
        r#"SELECT browser_hash = $2 AND expires_at > $3 AS "good!" FROM delete_own_sign_ins(ARRAY[$1::bytea])"#,
        state_hash,
        browser_hash,
        now,
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(taken.unwrap_or(false))
}
