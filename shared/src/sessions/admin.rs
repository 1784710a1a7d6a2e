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

/// Makes somebody a system administrator. Who is known already and has a password keeps it; the answer says
/// whether the given one was taken.
pub async fn insert_platform_admin(
    tx: &mut PlatformTx<Operator>,
    admin: &NewPlatformAdmin,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let is_new = sqlx::query_scalar!(
        r#"INSERT INTO users (id, email, password_hash, must_change_password, created_at, platform_role)
           VALUES ($1, $2, $3, true, $4, 'system-admin')
           ON CONFLICT (lower(email)) DO UPDATE
               SET platform_role = 'system-admin', has_password = true,
                   password_hash = CASE WHEN users.has_password THEN users.password_hash
                                        ELSE excluded.password_hash END,
                   must_change_password = users.must_change_password OR NOT users.has_password,
                   token_epoch = users.token_epoch + (NOT users.has_password)::int
           RETURNING password_hash = $3 AS "is_new!""#,
        UserId::new().as_uuid(),
        admin.email,
        admin.password_hash,
        now,
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(is_new)
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
