//! Wakes those who wait for news: a long poll or a stream of one job, a stream of a tenant.
//!
//! The gate tells everybody everything. One task listens and passes a message only to those who wait
//! for that very job or tenant, so a thousand waiting requests cost nothing while other jobs move.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{broadcast::error::RecvError, watch};
use tokio_util::task::AbortOnDropHandle;
use unity_shared::{
    ids::{JobId, TenantId},
    queue::{Told, Wake, WakeListener},
};

/// What one can wait for news of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// One job.
    Job(JobId),
    /// Any job of a tenant.
    Tenant(TenantId),
}

/// Hands news to those who wait for it.
#[derive(Debug)]
pub struct News {
    waiting: Waiting,
    _task: AbortOnDropHandle<()>,
}

/// A wait for news of one subject. Dropping it ends it.
#[derive(Debug)]
pub struct NewsWatch {
    subject: Subject,
    waiting: Waiting,
    /// Taken out only on drop, so that the last watcher can be told from the others.
    receiver: Option<watch::Receiver<()>>,
}

impl News {
    /// Passes the listener's messages on, until dropped.
    pub fn start(listener: WakeListener) -> Self {
        let waiting = Waiting::default();
        let task = tokio::spawn(pass_on(listener, waiting.clone()));
        Self {
            waiting,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// Waits for news from now on: subscribe first, then look at the record.
    pub fn watch(&self, subject: Subject) -> NewsWatch {
        self.waiting.watch(subject)
    }
}

impl NewsWatch {
    /// Returns when there may be news since the last call (or since the watch began). A message can
    /// be lost on the way, so look now and then without one too.
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

impl Drop for NewsWatch {
    fn drop(&mut self) {
        let mut senders = self.waiting.lock();
        self.receiver = None;
        if senders
            .get(&self.subject)
            .is_some_and(|sender| sender.receiver_count() == 0)
        {
            senders.remove(&self.subject);
        }
    }
}

async fn pass_on(listener: WakeListener, waiting: Waiting) {
    let mut messages = listener.subscribe();
    loop {
        match messages.recv().await {
            Ok(Wake::Message(text)) => waiting.wake(&text),
            // Anything may have been missed: everybody looks.
            Ok(Wake::Reconnected) | Err(RecvError::Lagged(_)) => waiting.wake_where(|_| true),
            Err(RecvError::Closed) => return,
        }
    }
}

type Senders = HashMap<Subject, watch::Sender<()>>;

/// Who waits, by subject. Clones share the list.
#[derive(Debug, Clone, Default)]
struct Waiting(Arc<Mutex<Senders>>);

impl Waiting {
    fn watch(&self, subject: Subject) -> NewsWatch {
        let receiver = self
            .lock()
            .entry(subject.clone())
            .or_insert_with(|| watch::channel(()).0)
            .subscribe();
        NewsWatch {
            subject,
            waiting: self.clone(),
            receiver: Some(receiver),
        }
    }

    fn wake(&self, message: &str) {
        if self.lock().is_empty() {
            return;
        }
        for Told { tenant, job } in Told::read_all(message) {
            self.wake_one(&Subject::Job(job));
            self.wake_one(&Subject::Tenant(tenant));
        }
    }

    fn wake_one(&self, subject: &Subject) {
        if let Some(sender) = self.lock().get(subject) {
            sender.send_replace(());
        }
    }

    fn wake_where(&self, concerned: impl Fn(&Subject) -> bool) {
        for (subject, sender) in self.lock().iter() {
            if concerned(subject) {
                sender.send_replace(());
            }
        }
    }

    /// The map is whole between any two statements, so a panic elsewhere has not broken it.
    fn lock(&self) -> MutexGuard<'_, Senders> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn told(watch: &mut NewsWatch) -> bool {
        watch.changed().now_or_never().is_some()
    }

    #[test]
    fn a_message_wakes_who_waits_for_its_job_or_its_tenant_and_nobody_else() {
        let waiting = Waiting::default();
        let (mine, other) = (JobId::new(), JobId::new());
        let acme = TenantId::parse("acme").unwrap();
        let mut of_job = waiting.watch(Subject::Job(mine));
        let mut of_tenant = waiting.watch(Subject::Tenant(acme));
        let mut of_both = || (told(&mut of_job), told(&mut of_tenant));
        assert_eq!(of_both(), (false, false));
        for (message, woken) in [
            (format!("acme\t{mine}"), (true, true)),
            (format!("acme\t{other}"), (false, true)),
            (format!("bravo\t{other}"), (false, false)),
            (format!("acme\t{other},{mine}"), (true, true)),
            ("garbage".to_owned(), (false, false)),
        ] {
            waiting.wake(&message);
            assert_eq!(of_both(), woken, "{message:?}");
        }
    }

    #[test]
    fn who_has_left_is_forgotten() {
        let waiting = Waiting::default();
        let subject = Subject::Job(JobId::new());
        let (first, second) = (waiting.watch(subject.clone()), waiting.watch(subject));
        drop(first);
        assert_eq!(waiting.lock().len(), 1);
        drop(second);
        assert!(waiting.lock().is_empty());
    }
}
