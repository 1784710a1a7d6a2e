//! Refresh tokens: random, good for one use, and a second use ends the session.
//!
//! A second use that had arrived before the first was done is taken for one client that asked twice at
//! once. It gets nothing and ends nothing: whoever it was, they have no token from it, and the answer to
//! the first is where the session goes on. Any later one may come from somebody who saw the token being
//! used, however soon it comes.

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
/// What every refresh token begins with, so that people and scanners know what they see.
const PREFIX: &str = "ur_";

/// A whole refresh token. It has no `Display`: whoever shows it must say so.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken(String);

/// What came of using a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshUse {
    /// It is good, and nobody else can use it before this transaction ends; see [`mark_used`].
    Good(SessionId),
    /// It was used while this request was under way.
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

/// What a token that arrived at `arrived` is good for. Of several who ask at once one is told
/// [`RefreshUse::Good`] and has the token until its transaction ends; the others wait for that.
pub async fn claim_refresh_token(
    tx: &mut PlatformTx<Issuer>,
    token: &RefreshToken,
    arrived: DateTime<Utc>,
) -> Result<RefreshUse, DbError> {
    let known = sqlx::query!(
        r#"SELECT session_id AS "session: SessionId", used_at, expires_at
           FROM refresh_tokens WHERE hash = $1 FOR UPDATE"#,
        token.hash(),
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(match known {
        None => RefreshUse::Unknown,
        Some(row) => judge(row.session, row.used_at, row.expires_at, arrived),
    })
}

/// Whoever arrived at the very instant of the use, or later, can have seen its answer.
fn judge(
    session: SessionId,
    used_at: Option<DateTime<Utc>>,
    expires_at: DateTime<Utc>,
    arrived: DateTime<Utc>,
) -> RefreshUse {
    match used_at {
        Some(used_at) if arrived < used_at => RefreshUse::Raced,
        Some(_) => RefreshUse::Reused(session),
        None if expires_at <= arrived => RefreshUse::Unknown,
        None => RefreshUse::Good(session),
    }
}

/// Uses a claimed token up. It belongs right before the commit, with the time of then: whoever arrives
/// before it cannot have seen the answer.
pub async fn mark_used(
    tx: &mut PlatformTx<Issuer>,
    token: &RefreshToken,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let done = sqlx::query!(
        "UPDATE refresh_tokens SET used_at = $2 WHERE hash = $1 AND used_at IS NULL",
        token.hash(),
        now,
    )
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected() == 1)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_arrived_before_the_use_is_a_race() {
        let session = SessionId::new();
        let at = |second: i64| DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap();
        let judged = |used_at, arrived| judge(session, used_at, at(100), at(arrived));
        assert_eq!(judged(None, 99), RefreshUse::Good(session));
        assert_eq!(judged(None, 100), RefreshUse::Unknown);
        assert_eq!(judged(Some(at(10)), 9), RefreshUse::Raced);
        for arrived in [10, 11, 20, 1000] {
            assert_eq!(judged(Some(at(10)), arrived), RefreshUse::Reused(session));
        }
    }
}
