//! Wakes long polls when their job's attempt has ended.
//!
//! The gate tells every end to everybody. One task listens and passes a message only to those who
//! wait for that very job, so a thousand waiting requests cost nothing while other jobs end.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{broadcast::error::RecvError, watch};
use tokio_util::task::AbortOnDropHandle;
use unity_shared::{
    ids::JobId,
    queue::{Wake, WakeListener},
};

type Waiting = Arc<Mutex<HashMap<JobId, watch::Sender<()>>>>;

/// Hands ends of attempts to those who wait for them.
#[derive(Debug)]
pub struct Ends {
    waiting: Waiting,
    _task: AbortOnDropHandle<()>,
}

/// A wait for one job. Dropping it ends it.
#[derive(Debug)]
pub struct EndWatch {
    id: JobId,
    waiting: Waiting,
    /// Taken out only on drop, so that the last watcher can be told from the others.
    receiver: Option<watch::Receiver<()>>,
}

impl Ends {
    /// Passes the listener's messages on, until dropped.
    pub fn start(listener: WakeListener) -> Self {
        let waiting = Waiting::default();
        let task = tokio::spawn(pass_on(listener, Arc::clone(&waiting)));
        Self {
            waiting,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// Waits for ends of `id` from now on: subscribe first, then look at the job.
    pub fn watch(&self, id: JobId) -> EndWatch {
        let receiver = lock(&self.waiting)
            .entry(id)
            .or_insert_with(|| watch::channel(()).0)
            .subscribe();
        EndWatch {
            id,
            waiting: Arc::clone(&self.waiting),
            receiver: Some(receiver),
        }
    }
}

impl EndWatch {
    /// Returns when the job may have changed since the last call (or since the watch began). A
    /// message can be lost on the way, so look now and then without one too.
    pub async fn changed(&mut self) {
        let told = match &mut self.receiver {
            Some(receiver) => receiver.changed().await.is_ok(),
            None => false,
        };
        if !told {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for EndWatch {
    fn drop(&mut self) {
        let mut waiting = lock(&self.waiting);
        self.receiver = None;
        if waiting
            .get(&self.id)
            .is_some_and(|sender| sender.receiver_count() == 0)
        {
            waiting.remove(&self.id);
        }
    }
}

async fn pass_on(listener: WakeListener, waiting: Waiting) {
    let mut messages = listener.subscribe();
    loop {
        match messages.recv().await {
            Ok(Wake::Message(text)) => {
                let sender = text
                    .parse()
                    .ok()
                    .and_then(|id| lock(&waiting).get(&id).cloned());
                if let Some(sender) = sender {
                    sender.send_replace(());
                }
            }
            // Anything may have been missed: everybody looks.
            Ok(Wake::Reconnected) | Err(RecvError::Lagged(_)) => {
                for sender in lock(&waiting).values() {
                    sender.send_replace(());
                }
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// The map is whole between any two statements, so a panic elsewhere has not broken it.
fn lock(waiting: &Waiting) -> MutexGuard<'_, HashMap<JobId, watch::Sender<()>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
