//! People who belong to nothing: no tenant, not the platform, and nobody invites them.
//!
//! Somebody who is removed from their last tenant may be back soon, with the password that they had. So an
//! account is first marked, and deleted when it was found so for a month.

use chrono::{DateTime, TimeDelta, Utc};

use crate::db::{DbError, PlatformTx, Purger};

/// How long an account stays that belongs to nothing.
pub const ORPHANS_STAY: TimeDelta = TimeDelta::days(30);

/// Marks whom nothing holds from now on, and takes the mark from whom something holds again. Answers how
/// many were marked.
pub async fn mark_orphans(tx: &mut PlatformTx<Purger>, now: DateTime<Utc>) -> Result<u64, DbError> {
    unmark_who_is_held(tx, now).await?;
    let marked = sqlx::query!(
        "UPDATE users SET orphaned_at = $1
         WHERE orphaned_at IS NULL AND platform_role IS NULL
           AND NOT EXISTS (SELECT FROM memberships WHERE user_id = users.id)
           AND NOT EXISTS (SELECT FROM invitations AS invitation
                           WHERE lower(invitation.email) = lower(users.email)
                             AND invitation.state = 'pending' AND invitation.expires_at > $1)",
        now,
    )
    .execute(tx.connection())
    .await?;
    Ok(marked.rows_affected())
}

async fn unmark_who_is_held(
    tx: &mut PlatformTx<Purger>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE users SET orphaned_at = NULL
         WHERE orphaned_at IS NOT NULL
           AND (platform_role IS NOT NULL
                OR EXISTS (SELECT FROM memberships WHERE user_id = users.id)
                OR EXISTS (SELECT FROM invitations AS invitation
                           WHERE lower(invitation.email) = lower(users.email)
                             AND invitation.state = 'pending' AND invitation.expires_at > $1))",
        now,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Deletes at most `most` accounts that have been marked for long enough. Call it after [`mark_orphans`]:
/// who was let in again has no mark then, and a membership that is written meanwhile keeps its account by
/// its foreign key.
pub async fn delete_orphans(
    tx: &mut PlatformTx<Purger>,
    most: i64,
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    let gone = sqlx::query!(
        "DELETE FROM users WHERE id = ANY (ARRAY(SELECT id FROM users WHERE orphaned_at <= $1 LIMIT $2))
           AND orphaned_at <= $1",
        now - ORPHANS_STAY,
        most,
    )
    .execute(tx.connection())
    .await?;
    Ok(gone.rows_affected())
}
