//! What was looked up for a credential, remembered for a moment.
//!
//! A client that calls a thousand times a second is looked up once, and callers that ask for the same at
//! the same time share one look-up. What is remembered is wrong for a second at most.

use std::{hash::Hash, sync::Arc, time::Duration};

use moka::future::Cache;

/// How long an answer is remembered, and so how long what was ended or changed meanwhile still counts.
const FOR: Duration = Duration::from_secs(1);

/// Answers by what was asked for. Clones share them.
#[derive(Debug, Clone)]
pub struct Remembered<K, V>(Cache<K, V>)
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static;

impl<K, V> Remembered<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Knows nothing yet, and `most` answers at the most; more cost look-ups, not memory.
    pub fn new(most: u64) -> Self {
        Self(
            Cache::builder()
                .max_capacity(most)
                .time_to_live(FOR)
                .build(),
        )
    }

    /// The answer for `key`, by `look_up` if it is not remembered. An error is not.
    pub async fn find<E: Send + Sync + 'static>(
        &self,
        key: K,
        look_up: impl Future<Output = Result<V, E>>,
    ) -> Result<V, Arc<E>> {
        if let Some(known) = self.0.get(&key).await {
            return Ok(known);
        }
        // On the heap: as a part of every request's state it would be copied from layer to layer.
        Box::pin(self.0.try_get_with(key, look_up)).await
    }
}
