//! Who owns a key, remembered for a moment.
//!
//! A client that calls a thousand times a second is looked up once. What is remembered is the answer
//! to a hash, never a key. Revoking a key or suspending a tenant takes effect when the memory ends.

use std::{sync::Arc, time::Duration};

use moka::future::Cache;
use unity_shared::{
    clock::Clock,
    db::{Database, DbError},
    tenancy::{ApiKey, KeyOwner, find_key_owner},
};

/// How long an answer is remembered, and so how long a revoked key may still work.
const REMEMBERED_FOR: Duration = Duration::from_secs(1);
/// Keys that are remembered at most; more cost look-ups, not memory.
const MOST: u64 = 50_000;

/// The look-ups of keys.
#[derive(Debug, Clone)]
pub struct KeyOwners {
    database: Database,
    clock: Clock,
    known: Cache<[u8; 32], Option<KeyOwner>>,
}

impl KeyOwners {
    /// Knows nothing yet.
    pub fn new(database: Database, clock: Clock) -> Self {
        Self {
            database,
            clock,
            known: Cache::builder()
                .max_capacity(MOST)
                .time_to_live(REMEMBERED_FOR)
                .build(),
        }
    }

    /// The owner of a key that was neither revoked nor past its end a moment ago. Callers that ask for
    /// the same key at the same time share one look-up.
    pub async fn find(&self, key: &ApiKey) -> Result<Option<KeyOwner>, Arc<DbError>> {
        let hash = key.hash();
        if let Some(owner) = self.known.get(&hash).await {
            return Ok(owner);
        }
        // On the heap: as a part of every request's state it would be copied from layer to layer.
        Box::pin(self.known.try_get_with(hash, self.look_up(key))).await
    }

    async fn look_up(&self, key: &ApiKey) -> Result<Option<KeyOwner>, DbError> {
        let mut tx = self.database.authenticator().statement().await?;
        find_key_owner(&mut tx, key, self.clock.now()).await
    }
}
