//! Refresh tokens: random, good for one use, and a second use ends the session.
//!
//! Two uses within [`RACE_GRACE`] are taken for one client that asked twice. The second gets nothing
//! and ends nothing: whoever it was, they have no token from it, and the answer to the first is where
//! the session goes on.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use rand::RngExt;
use sha2::{Digest, Sha256};

use crate::{
    db::{DbError, Issuer, PlatformTx},
    ids::SessionId,
};

/// How long a refresh token can be used.
pub const REFRESH_LIFE: TimeDelta = TimeDelta::days(7);
/// How long after its use a second one is taken for a race.
pub const RACE_GRACE: TimeDelta = TimeDelta::seconds(10);
/// What every refresh token begins with, so that people and scanners know what they see.
const PREFIX: &str = "ur_";

/// A whole refresh token. It has no `Display`: whoever shows it must say so.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken(String);

/// What came of using a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshUse {
    /// It was good and is used up now.
    Good(SessionId),
    /// It was used a moment ago.
    Raced,
    /// It was used before: its session must end.
    Reused(SessionId),
    /// No such token, or it is past its end.
    Unknown,
}

impl RefreshToken {
    /// A fresh token of 256 random bits.
    #[must_use]
    pub fn generate() -> Self {
        let bits: [u8; 32] = rand::rng().random();
        Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bits)))
    }

    /// Takes what a client sent. Whether it is a token shows when it is looked up.
    #[must_use]
    pub fn received(text: String) -> Self {
        Self(text)
    }

    /// The token in clear text, for the one answer that shows it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.0.as_bytes()).to_vec()
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken")
    }
}

/// Keeps a token's hash. It ends with its session at the latest.
pub async fn insert_refresh_token(
    tx: &mut PlatformTx<Issuer>,
    session: SessionId,
    token: &RefreshToken,
    session_ends: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        "INSERT INTO refresh_tokens (hash, session_id, created_at, expires_at) VALUES ($1, $2, $3, $4)",
        token.hash(),
        session.as_uuid(),
        now,
        session_ends.min(now + REFRESH_LIFE),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Uses a token up. Of two uses at once one is [`RefreshUse::Good`].
pub async fn use_refresh_token(
    tx: &mut PlatformTx<Issuer>,
    token: &RefreshToken,
    now: DateTime<Utc>,
) -> Result<RefreshUse, DbError> {
    let used = sqlx::query_scalar!(
        r#"UPDATE refresh_tokens SET used_at = $2
           WHERE hash = $1 AND used_at IS NULL AND expires_at > $2
           RETURNING session_id AS "session: SessionId""#,
        token.hash(),
        now,
    )
    .fetch_optional(tx.connection())
    .await?;
    match used {
        Some(session) => Ok(RefreshUse::Good(session)),
        None => find_earlier_use(tx, token, now).await,
    }
}

async fn find_earlier_use(
    tx: &mut PlatformTx<Issuer>,
    token: &RefreshToken,
    now: DateTime<Utc>,
) -> Result<RefreshUse, DbError> {
    let known = sqlx::query!(
        r#"SELECT session_id AS "session: SessionId", used_at FROM refresh_tokens WHERE hash = $1"#,
        token.hash(),
    )
    .fetch_optional(tx.connection())
    .await?;
    let used = known.and_then(|row| Some((row.session, row.used_at?)));
    Ok(match used {
        None => RefreshUse::Unknown,
        Some((_, at)) if now - at <= RACE_GRACE => RefreshUse::Raced,
        Some((session, _)) => RefreshUse::Reused(session),
    })
}

/// Forgets every token of a session, so that none of them can be used or counts as used twice.
pub async fn forget_refresh_tokens(
    tx: &mut PlatformTx<Issuer>,
    session: SessionId,
) -> Result<(), DbError> {
    sqlx::query!(
        "DELETE FROM refresh_tokens WHERE session_id = $1",
        session.as_uuid()
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
