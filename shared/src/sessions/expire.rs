//! Rows that nothing asks for any more.

use chrono::{DateTime, Utc};

use super::attempts::LOGIN_WINDOW;
use crate::db::{DbError, Engine, PlatformTx};

/// How many rows were deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    /// Sessions past their end, with their refresh tokens.
    pub sessions: u64,
    /// Counters of attempts to log in.
    pub attempts: u64,
    /// States of sign-ins that were used and would be past their end.
    pub sign_ins: u64,
}

/// Deletes sessions and used sign-ins past their end, and counters whose time is over. A session that ended early is kept
/// until then, so that its tokens are still known.
pub async fn expire_sessions(
    tx: &mut PlatformTx<Engine>,
    now: DateTime<Utc>,
) -> Result<Expired, DbError> {
    let sessions = delete_sessions(tx, now).await?;
    let attempts = delete_attempts(tx, now - LOGIN_WINDOW).await?;
    let sign_ins = delete_sign_ins(tx, now).await?;
    Ok(Expired {
        sessions,
        attempts,
        sign_ins,
    })
}

async fn delete_sign_ins(
    tx: &mut PlatformTx<Engine>,
    before: DateTime<Utc>,
) -> Result<u64, DbError> {
    let deleted = sqlx::query!("DELETE FROM sign_ins WHERE expires_at <= $1", before)
        .execute(tx.connection())
        .await?;
    Ok(deleted.rows_affected())
}

async fn delete_sessions(
    tx: &mut PlatformTx<Engine>,
    before: DateTime<Utc>,
) -> Result<u64, DbError> {
    let deleted = sqlx::query!("DELETE FROM sessions WHERE expires_at < $1", before)
        .execute(tx.connection())
        .await?;
    Ok(deleted.rows_affected())
}

async fn delete_attempts(
    tx: &mut PlatformTx<Engine>,
    before: DateTime<Utc>,
) -> Result<u64, DbError> {
    let deleted = sqlx::query!("DELETE FROM login_attempts WHERE since < $1", before)
        .execute(tx.connection())
        .await?;
    Ok(deleted.rows_affected())
}
