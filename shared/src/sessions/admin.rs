//! What an installation's operators do with people.

use chrono::{DateTime, Utc};

use crate::{
    db::{DbError, Operator, PlatformTx},
    ids::UserId,
};

/// A system administrator to be.
#[derive(Debug, Clone)]
pub struct NewPlatformAdmin {
    /// Where mail reaches them; also the login name.
    pub email: String,
    /// Argon2id, PHC string.
    pub password_hash: String,
}

/// Makes somebody a system administrator, in a transaction. Who is known already keeps their password; the
/// answer says whether the given one was taken.
pub async fn insert_platform_admin(
    tx: &mut PlatformTx<Operator>,
    admin: &NewPlatformAdmin,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let written = sqlx::query!(
        "INSERT INTO users (id, email, password_hash, must_change_password, created_at, platform_role)
         VALUES ($1, $2, $3, true, $4, 'system-admin')
         ON CONFLICT (lower(email)) DO NOTHING",
        UserId::new().as_uuid(),
        admin.email,
        admin.password_hash,
        now,
    )
    .execute(tx.connection())
    .await?;
    if written.rows_affected() == 1 {
        return Ok(true);
    }
    sqlx::query!(
        "UPDATE users SET platform_role = 'system-admin' WHERE lower(email) = lower($1)",
        admin.email,
    )
    .execute(tx.connection())
    .await?;
    Ok(false)
}

/// Keeps somebody out from now on, or lets them in again; the answer is whether they are known. Keeping
/// them out ends every session and token of theirs for good, and holds back the keys that they made.
pub async fn set_user_disabled(
    tx: &mut PlatformTx<Operator>,
    email: &str,
    since: Option<DateTime<Utc>>,
) -> Result<bool, DbError> {
    let changed = sqlx::query!(
        "UPDATE users SET disabled_at = $2, token_epoch = token_epoch + 1 WHERE lower(email) = lower($1)",
        email,
        since,
    )
    .execute(tx.connection())
    .await?;
    Ok(changed.rows_affected() == 1)
}
