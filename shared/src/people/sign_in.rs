//! States of sign-ins that were used: each is good once, within ten minutes, in the browser that began.
//!
//! A sign-in that is begun is kept nowhere but in the browser, in a cookie that only the installation can
//! have made: whoever begins a great many pushes nobody else's out. What has to be remembered is which of
//! them came back.

use chrono::{DateTime, TimeDelta, Utc};

use crate::db::{DbError, TenantTx};

/// How long a sign-in may take.
pub const SIGN_IN_LASTS: TimeDelta = TimeDelta::minutes(10);

/// Uses the state of a sign-in to the transaction's tenant up, and answers whether it was not before. It
/// is remembered until `ends`, when it is refused anyway; see [`crate::sessions::expire_sessions`].
pub async fn use_sign_in(
    tx: &mut TenantTx,
    state_hash: &[u8],
    browser_hash: &[u8],
    ends: DateTime<Utc>,
) -> Result<bool, DbError> {
    let tenant = tx.tenant().clone();
    let done = sqlx::query!(
        "INSERT INTO sign_ins (tenant_id, state_hash, browser_hash, expires_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (tenant_id, state_hash) DO NOTHING",
        tenant.as_str(),
        state_hash,
        browser_hash,
        ends,
    )
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}
