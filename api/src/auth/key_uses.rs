//! When keys were last of use, written some seconds later and for many keys at once.
//!
//! A use is noted at every request and written at most once a minute for each key. If the process dies,
//! the last seconds are lost: it is a hint for people who clean up.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use unity_shared::{
    clock::Clock,
    db::{Database, DbError},
    ids::ApiKeyId,
    tenancy::note_key_uses,
};

/// Between two writes.
const PAUSE: Duration = Duration::from_secs(5);
/// Keys in one statement.
const MOST: usize = 1000;

type Uses = Mutex<HashSet<ApiKeyId>>;

/// Uses that are not written yet. Dropping it ends the writing.
#[derive(Debug)]
pub struct KeyUses(Arc<Uses>);

impl KeyUses {
    /// Begins to write. Call it inside a tokio runtime.
    pub fn start(database: Database, clock: Clock) -> Self {
        let uses = Arc::<Uses>::default();
        tokio::spawn(write_now_and_then(Arc::downgrade(&uses), database, clock));
        Self(uses)
    }

    /// Notes that a key was of use.
    pub fn note(&self, key: ApiKeyId) {
        lock(&self.0).insert(key);
    }
}

async fn write_now_and_then(uses: Weak<Uses>, database: Database, clock: Clock) {
    loop {
        tokio::time::sleep(PAUSE).await;
        let Some(uses) = uses.upgrade() else {
            return;
        };
        let keys: Vec<ApiKeyId> = lock(&uses).drain().collect();
        drop(uses);
        for some in keys.chunks(MOST) {
            if let Err(error) = write(&database, &clock, some).await {
                tracing::debug!(%error, "could not write when keys were last used");
            }
        }
    }
}

async fn write(database: &Database, clock: &Clock, keys: &[ApiKeyId]) -> Result<(), DbError> {
    let mut tx = database.authenticator().statement().await?;
    note_key_uses(&mut tx, keys, clock.now()).await
}

/// The set is whole between any two statements, so a panic elsewhere has not broken it.
fn lock(uses: &Uses) -> std::sync::MutexGuard<'_, HashSet<ApiKeyId>> {
    uses.lock().unwrap_or_else(PoisonError::into_inner)
}
