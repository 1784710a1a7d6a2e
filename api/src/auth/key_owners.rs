//! Who owns a key, remembered for a moment.
//!
//! A client that calls a thousand times a second is looked up once. What is remembered is the answer
//! to a hash, never a key. Revoking a key or suspending a tenant takes effect when the memory ends.

use std::sync::Arc;

use unity_shared::{
    clock::Clock,
    db::{Database, DbError},
    tenancy::{ApiKey, KeyOwner, find_key_owner},
};

use super::remembered::Remembered;

/// Keys that are remembered at most; more cost look-ups, not memory.
const MOST: u64 = 50_000;

/// The look-ups of keys.
#[derive(Debug, Clone)]
pub struct KeyOwners {
    database: Database,
    clock: Clock,
    known: Remembered<[u8; 32], Option<KeyOwner>>,
}

impl KeyOwners {
    /// Knows nothing yet.
    pub fn new(database: Database, clock: Clock) -> Self {
        Self {
            database,
            clock,
            known: Remembered::new(MOST),
        }
    }

    /// The owner of a key that was neither revoked nor past its end a moment ago. Callers that ask for
    /// the same key at the same time share one look-up.
    pub async fn find(&self, key: &ApiKey) -> Result<Option<KeyOwner>, Arc<DbError>> {
        self.known.find(key.hash(), self.look_up(key)).await
    }

    async fn look_up(&self, key: &ApiKey) -> Result<Option<KeyOwner>, DbError> {
        let mut tx = self.database.authenticator().statement().await?;
        find_key_owner(&mut tx, key, self.clock.now()).await
    }
}
