//! One attempt of a job at a time.
//!
//! The gate knows a claim by its worker. A process that stood still past its leases may still have an
//! attempt in hand when the same job comes to it again; settling the old attempt would then free the slot
//! of the new one. So a job is not claimed before the attempt before it is settled.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;
use unity_shared::ids::JobId;

/// The jobs that this process has in hand: from before their claim until their slot is settled.
#[derive(Debug, Clone, Default)]
pub(super) struct Held {
    ids: Arc<Mutex<HashSet<JobId>>>,
    freed: Arc<Notify>,
}

/// A job in hand; dropping it lets the next attempt begin.
#[derive(Debug)]
pub(super) struct Hold {
    id: JobId,
    held: Held,
}

impl Held {
    /// Takes the job in hand, after the attempt that has it now; `None` if that takes longer than
    /// `patience`.
    pub(super) async fn take(&self, id: JobId, patience: Duration) -> Option<Hold> {
        if let Some(hold) = self.try_take(id) {
            return Some(hold);
        }
        let free = async {
            loop {
                let freed = self.freed.notified();
                tokio::pin!(freed);
                // What is freed between the look and the wait counts too.
                freed.as_mut().enable();
                if let Some(hold) = self.try_take(id) {
                    return hold;
                }
                freed.await;
            }
        };
        tokio::time::timeout(patience, free).await.ok()
    }

    fn try_take(&self, id: JobId) -> Option<Hold> {
        self.lock().insert(id).then(|| Hold {
            id,
            held: self.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<JobId>> {
        // Nothing panics while it holds the lock, and the set is whole after each operation.
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.held.lock().remove(&self.id);
        self.held.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn an_attempt_waits_for_the_one_before_it_and_not_for_ever() {
        let (held, id) = (Held::default(), JobId::new());
        let first = held.take(id, PATIENCE).await.unwrap();
        assert!(held.take(JobId::new(), PATIENCE).await.is_some());
        assert!(held.take(id, PATIENCE).await.is_none());
        let second = tokio::spawn({
            let held = held.clone();
            async move { held.take(id, PATIENCE).await }
        });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop(first);
        assert!(second.await.unwrap().is_some());
    }
}
