//! The keys that sign access tokens, and how one follows another.
//!
//! A key's state follows from the time alone, so that no process has to be awake when it changes: a
//! new key is published at once, signs when everybody had time to see it, and the one before is
//! trusted until the last token that it signed has ended. Only a key that opens under the
//! installation's own secret counts, so a row that somebody else wrote is worth nothing.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use sha2::{Digest, Sha256};

use super::{
    sealing::SealingKey,
    token::{CLOCKS_DIFFER, TOKEN_LIFE},
};
use crate::db::{DbError, Issuer, PlatformTx};

/// How long a key is published before it signs: twice as long as anybody may keep the published keys.
pub const PUBLISHED_AHEAD: TimeDelta = TimeDelta::minutes(10);
/// How long a key is trusted after it signed for the last time.
pub const TRUSTED_AFTER: TimeDelta =
    TimeDelta::seconds(TOKEN_LIFE.num_seconds() + CLOCKS_DIFFER.num_seconds());
/// How long the row of a key that is trusted no more is kept.
const KEPT: TimeDelta = TimeDelta::days(1);

/// What a key is good for at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Published, and will sign.
    Next,
    /// Signs.
    Active,
    /// Signs no more; its tokens are still good.
    Retired,
    /// Trusted no more.
    Gone,
}

/// A signing key as the database has it.
#[derive(Debug, Clone)]
pub struct SigningKey {
    /// The `kid`: the key's thumbprint (RFC 7638).
    pub id: String,
    /// The public key, 32 bytes.
    pub public_key: Vec<u8>,
    /// The private key, encrypted.
    pub(super) sealed_key: Vec<u8>,
    /// When it begins to sign.
    pub signs_from: DateTime<Utc>,
    /// When its tokens are refused; absent = no later key has been made.
    pub trusted_until: Option<DateTime<Utc>>,
}

/// How a new key follows the present one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// Published first; nobody notices.
    Graceful,
    /// It signs from now on and every other key is trusted no more: for a key that was stolen. Whoever
    /// is logged in must refresh.
    AtOnce,
}

/// Why no key was made.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// The one before has not begun to sign.
    #[error("a key is published already and signs from {}", .0.to_rfc3339())]
    UnderWay(DateTime<Utc>),
    /// No key could be generated or encrypted.
    #[error("could not make a key")]
    Make,
    /// A statement failed.
    #[error("the database could not do its part")]
    Database(#[from] DbError),
}

impl KeyState {
    /// The state's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Gone => "gone",
        }
    }
}

impl SigningKey {
    /// What it is good for at `now`, among `all` keys.
    #[must_use]
    pub fn state(&self, all: &[Self], now: DateTime<Utc>) -> KeyState {
        let signs_after =
            |other: &&Self| (other.signs_from, &other.id) > (self.signs_from, &self.id);
        if self.trusted_until.is_some_and(|until| until <= now) {
            KeyState::Gone
        } else if self.signs_from > now {
            KeyState::Next
        } else if all
            .iter()
            .filter(signs_after)
            .any(|other| other.signs_from <= now)
        {
            KeyState::Retired
        } else {
            KeyState::Active
        }
    }

    /// The private key in PKCS#8; absent if it was sealed under another secret.
    pub(super) fn open(&self, sealing: &SealingKey) -> Option<Vec<u8>> {
        sealing.open(&self.sealed_key, &bound_to(&self.id, &self.public_key))
    }

    pub(super) fn generate(
        sealing: &SealingKey,
        signs_from: DateTime<Utc>,
    ) -> Result<Self, RotateError> {
        let private =
            Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| RotateError::Make)?;
        let pair = Ed25519KeyPair::from_pkcs8(private.as_ref()).map_err(|_| RotateError::Make)?;
        let public_key = pair.public_key().as_ref().to_vec();
        let id = thumbprint(&public_key);
        let sealed_key = sealing
            .seal(private.as_ref(), &bound_to(&id, &public_key))
            .map_err(|_| RotateError::Make)?;
        Ok(Self {
            id,
            public_key,
            sealed_key,
            signs_from,
            trusted_until: None,
        })
    }
}

/// What a sealed key belongs to. The id has no zero byte.
fn bound_to(id: &str, public_key: &[u8]) -> Vec<u8> {
    [id.as_bytes(), &[0], public_key].concat()
}

fn thumbprint(public_key: &[u8]) -> String {
    let x = URL_SAFE_NO_PAD.encode(public_key);
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(Sha256::digest(members))
}

/// Every key whose row is kept, by when they begin to sign.
pub async fn list_signing_keys(tx: &mut PlatformTx<Issuer>) -> Result<Vec<SigningKey>, DbError> {
    let keys = sqlx::query_as!(
        SigningKey,
        "SELECT id, public_key, sealed_key, signs_from, trusted_until FROM signing_keys
         ORDER BY signs_from, id"
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(keys)
}

/// Makes a key that signs from now on, unless there is one that signs and that `sealing` opens. Several
/// processes may try at once; one does it. Commit the transaction.
pub async fn ensure_signing_key(
    tx: &mut PlatformTx<Issuer>,
    sealing: &SealingKey,
    now: DateTime<Utc>,
) -> Result<(), RotateError> {
    lock_signing_keys(tx).await?;
    let keys = list_signing_keys(tx).await?;
    let signs = |key: &SigningKey| {
        let state = key.state(&keys, now);
        matches!(state, KeyState::Active | KeyState::Retired) && key.open(sealing).is_some()
    };
    if !keys.iter().any(signs) {
        insert_signing_key(tx, &SigningKey::generate(sealing, now)?, now).await?;
    }
    Ok(())
}

/// Makes the next key, and says until when the others are trusted. Commit the transaction.
pub async fn rotate_signing_keys(
    tx: &mut PlatformTx<Issuer>,
    sealing: &SealingKey,
    rotation: Rotation,
    now: DateTime<Utc>,
) -> Result<SigningKey, RotateError> {
    lock_signing_keys(tx).await?;
    delete_old_keys(tx, now - KEPT).await?;
    let (signs_from, trusted_until) = match rotation {
        Rotation::AtOnce => (now, now),
        Rotation::Graceful => {
            let keys = list_signing_keys(tx).await?;
            let next = keys
                .iter()
                .find(|key| key.state(&keys, now) == KeyState::Next);
            if let Some(next) = next {
                return Err(RotateError::UnderWay(next.signs_from));
            }
            let signs_from = now + PUBLISHED_AHEAD;
            (signs_from, signs_from + TRUSTED_AFTER)
        }
    };
    end_trust(tx, trusted_until).await?;
    let key = SigningKey::generate(sealing, signs_from)?;
    insert_signing_key(tx, &key, now).await?;
    Ok(key)
}

/// One process at a time decides which keys there are.
async fn lock_signing_keys(tx: &mut PlatformTx<Issuer>) -> Result<(), DbError> {
    sqlx::query!(
        r#"SELECT pg_advisory_xact_lock(hashtext('unity.signing_keys')) IS NULL AS "locked""#
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(())
}

async fn insert_signing_key(
    tx: &mut PlatformTx<Issuer>,
    key: &SigningKey,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        "INSERT INTO signing_keys (id, public_key, sealed_key, created_at, signs_from, trusted_until)
         VALUES ($1, $2, $3, $4, $5, $6)",
        key.id,
        key.public_key,
        key.sealed_key,
        now,
        key.signs_from,
        key.trusted_until,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Every key is trusted until then at the latest.
async fn end_trust(tx: &mut PlatformTx<Issuer>, until: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE signing_keys SET trusted_until = $1
         WHERE trusted_until IS NULL OR trusted_until > $1",
        until,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

async fn delete_old_keys(
    tx: &mut PlatformTx<Issuer>,
    before: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM signing_keys WHERE trusted_until < $1", before)
        .execute(tx.connection())
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    #[test]
    fn a_key_is_next_then_active_then_retired_then_gone() {
        let sealing = SealingKey::new(&Secret::new("a secret key"));
        let mut old = SigningKey::generate(&sealing, at(0)).unwrap();
        old.trusted_until = Some(at(40));
        let new = SigningKey::generate(&sealing, at(20)).unwrap();
        let keys = [old, new];
        let states = |minutes| keys.each_ref().map(|key| key.state(&keys, at(minutes)));
        assert_eq!(states(10), [KeyState::Active, KeyState::Next]);
        assert_eq!(states(20), [KeyState::Retired, KeyState::Active]);
        assert_eq!(states(39), [KeyState::Retired, KeyState::Active]);
        assert_eq!(states(40), [KeyState::Gone, KeyState::Active]);
    }

    /// The example of RFC 8037, appendix A.3.
    #[test]
    fn a_key_is_named_by_its_thumbprint() {
        let public = URL_SAFE_NO_PAD
            .decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
            .unwrap();
        assert_eq!(
            thumbprint(&public),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }
}
