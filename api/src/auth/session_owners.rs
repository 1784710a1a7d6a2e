//! Whose session an access token is, remembered for a moment.
//!
//! A token is checked and its session looked up once a second, however often it is sent. What is
//! remembered is the answer to a hash, never a token. Whatever ends a session, lowers a role or suspends
//! a tenant takes effect when the memory ends.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use unity_shared::{
    clock::Clock,
    db::{Database, DbError},
    sessions::{Claims, Keyring, SessionOwner, find_session_owner},
};

use super::{SigningKeys, remembered::Remembered};
use crate::error::ApiError;

/// Tokens that are remembered at most; more cost look-ups, not memory.
const MOST: u64 = 50_000;

/// The look-ups of access tokens.
#[derive(Debug, Clone)]
pub struct SessionOwners {
    database: Database,
    clock: Clock,
    keys: SigningKeys,
    known: Remembered<[u8; 32], Known>,
}

/// What a token that is ours has come to.
#[derive(Debug, Clone)]
struct Known {
    /// When the token ends, in seconds since the Unix epoch.
    ends: i64,
    /// Absent = its session does not live.
    owner: Option<SessionOwner>,
}

/// Why there is no answer. Neither is remembered: garbage must not push out what is.
#[derive(Debug, Clone)]
enum NoAnswer {
    NotOurs,
    Database(Arc<DbError>),
}

impl SessionOwners {
    /// Knows nothing yet.
    pub fn new(database: Database, clock: Clock, keys: SigningKeys) -> Self {
        Self {
            database,
            clock,
            keys,
            known: Remembered::new(MOST),
        }
    }

    /// The owner of the live session that a good token names.
    pub async fn find(&self, token: &str) -> Result<Option<SessionOwner>, ApiError> {
        // Three parts or no token: garbage costs nothing.
        if token.split('.').count() != 3 {
            return Ok(None);
        }
        let keyring = self.keys.current().await?;
        let hash: [u8; 32] = Sha256::digest(token).into();
        match self.known.find(hash, self.look_up(&keyring, token)).await {
            Ok(known) => Ok(known
                .owner
                .filter(|_| known.ends > self.clock.now().timestamp())),
            Err(why) => match Arc::unwrap_or_clone(why) {
                NoAnswer::NotOurs => Ok(None),
                NoAnswer::Database(error) => Err(ApiError::Database(error)),
            },
        }
    }

    async fn look_up(&self, keyring: &Keyring, token: &str) -> Result<Known, NoAnswer> {
        let now = self.clock.now();
        let claims = keyring.verify(token, now).ok_or(NoAnswer::NotOurs)?;
        let found = async {
            let mut tx = self.database.authenticator().statement().await?;
            find_session_owner(&mut tx, claims.sid, now).await
        };
        let owner = found
            .await
            .map_err(|error| NoAnswer::Database(Arc::new(error)))?;
        Ok(Known {
            ends: claims.exp,
            owner: owner.filter(|owner| is_of(&claims, owner)),
        })
    }
}

/// Whether the row is still what the token was made from. Its role is not asked: the row's counts.
fn is_of(claims: &Claims, owner: &SessionOwner) -> bool {
    (claims.sub, claims.epoch, &claims.tenant_id) == (owner.user, owner.epoch, &owner.tenant)
}
