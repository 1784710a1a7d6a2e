//! What this process works on.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;
use unity_shared::{
    ids::JobId,
    jobs::{ClaimedJob, LeaseKey},
    queue::Offer,
};

/// Why an attempt is ended before its handler is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The lease could not be renewed or belongs to another: write nothing back.
    LeaseLost,
    /// Somebody wants the job to be cancelled: its handler may put things in order first.
    Cancelled,
    /// The process stops: give the job back.
    HandBack,
}

impl Stop {
    /// The reason that stands when both are given: a lost lease outweighs all, since nothing may be
    /// written; a job that is cancelled is not given back.
    const fn weight(self) -> u8 {
        match self {
            Self::LeaseLost => 2,
            Self::Cancelled => 1,
            Self::HandBack => 0,
        }
    }
}

/// The attempts of this process, shared by everything that works on them.
#[derive(Debug, Clone)]
pub(super) struct InFlight {
    entries: Arc<Mutex<HashMap<JobId, Entry>>>,
    changed: Arc<Notify>,
    lease: Duration,
}

#[derive(Debug)]
struct Entry {
    key: LeaseKey,
    offer: Offer,
    token: CancellationToken,
    lost: CancellationToken,
    stop: Option<Stop>,
    renewed_at: Instant,
}

/// One attempt's place in the list; dropping it takes the attempt out.
#[derive(Debug)]
pub(super) struct Place {
    id: JobId,
    fence: i64,
    /// Fires when the attempt is to end now.
    pub(super) token: CancellationToken,
    /// Fires when the lease is lost: nothing may go on then, whatever it was given time for.
    pub(super) lost: CancellationToken,
    list: InFlight,
}

impl InFlight {
    pub(super) fn new(lease: Duration) -> Self {
        Self {
            entries: Arc::default(),
            changed: Arc::default(),
            lease,
        }
    }

    /// Adds an attempt whose lease counts from `asked`, when it was asked for.
    pub(super) fn enter(&self, job: &ClaimedJob, asked: Instant) -> Place {
        let (token, lost) = (CancellationToken::new(), CancellationToken::new());
        let key = LeaseKey {
            tenant_id: job.tenant_id.clone(),
            id: job.id,
            fence: job.fence,
        };
        let entry = Entry {
            key,
            offer: job.offer(),
            token: token.clone(),
            lost: lost.clone(),
            stop: None,
            renewed_at: asked,
        };
        self.lock().insert(job.id, entry);
        self.changed.notify_one();
        Place {
            id: job.id,
            fence: job.fence,
            token,
            lost,
            list: self.clone(),
        }
    }

    /// The leases and offers of everything in the list.
    pub(super) fn claims(&self) -> Vec<(LeaseKey, Offer)> {
        self.lock()
            .values()
            .map(|entry| (entry.key.clone(), entry.offer.clone()))
            .collect()
    }

    /// The lease of this job, if it is in the list.
    pub(super) fn key(&self, id: JobId) -> Option<LeaseKey> {
        self.lock().get(&id).map(|entry| entry.key.clone())
    }

    /// How many attempts are in the list.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Notes that these leases were renewed by a call that began at `asked`.
    pub(super) fn renewed(&self, keys: &[LeaseKey], asked: Instant) {
        let mut entries = self.lock();
        for key in keys {
            if let Some(entry) = entries.get_mut(&key.id).filter(|entry| entry.key == *key) {
                entry.renewed_at = entry.renewed_at.max(asked);
            }
        }
    }

    /// Ends an attempt.
    pub(super) fn stop(&self, key: &LeaseKey, stop: Stop) {
        if let Some(entry) = self
            .lock()
            .get_mut(&key.id)
            .filter(|entry| entry.key == *key)
        {
            entry.end(stop);
        }
    }

    /// Ends every attempt.
    pub(super) fn stop_all(&self, stop: Stop) {
        for entry in self.lock().values_mut() {
            entry.end(stop);
        }
    }

    /// Ends the attempts whose lease was last renewed too long ago, and answers when the next one
    /// would be due. A fifth of the lease is left for the handler's task to end in.
    pub(super) fn stop_overdue(&self) -> Option<Instant> {
        let patience = self.lease.mul_f64(0.8);
        let now = Instant::now();
        let mut next: Option<Instant> = None;
        for entry in self
            .lock()
            .values_mut()
            .filter(|entry| entry.stop != Some(Stop::LeaseLost))
        {
            let due = entry.renewed_at + patience;
            if due <= now {
                entry.end(Stop::LeaseLost);
            } else {
                next = Some(next.map_or(due, |earlier| earlier.min(due)));
            }
        }
        next
    }

    /// Waits until an attempt enters.
    pub(super) async fn entered(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Entry>> {
        // Nothing panics while it holds the lock, and the map is whole after each operation.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn end(&mut self, stop: Stop) {
        if self
            .stop
            .is_none_or(|before| before.weight() < stop.weight())
        {
            self.stop = Some(stop);
        }
        self.token.cancel();
        if stop == Stop::LeaseLost {
            self.lost.cancel();
        }
    }
}

impl Place {
    /// Why the attempt is to end; `None` while it may run.
    pub(super) fn stop_reason(&self) -> Option<Stop> {
        self.list.lock().get(&self.id).and_then(|entry| entry.stop)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut entries = self.list.lock();
        if entries
            .get(&self.id)
            .is_some_and(|entry| entry.key.fence == self.fence)
        {
            entries.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    const LEASE: Duration = Duration::from_secs(10);

    fn job(fence: i64) -> ClaimedJob {
        ClaimedJob {
            tenant_id: "acme".parse().unwrap(),
            id: "01a20794-a56f-7252-8753-535794900d1a".parse().unwrap(),
            kind: "probe".to_owned(),
            queue: "default".to_owned(),
            priority: 5,
            payload: "{}".to_owned(),
            attempt: 1,
            max_attempts: 5,
            fence,
            timeout_seconds: 60,
            resource_key: None,
            run_at: DateTime::UNIX_EPOCH,
            attempt_started_at: DateTime::UNIX_EPOCH,
            request_id: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_was_not_renewed_ends_before_its_lease_does() {
        let list = InFlight::new(LEASE);
        let place = list.enter(&job(1), Instant::now());
        tokio::time::advance(Duration::from_secs(7)).await;
        assert!(list.stop_overdue().is_some());
        assert!(!place.token.is_cancelled());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(list.stop_overdue(), None);
        assert!(place.token.is_cancelled());
        assert_eq!(place.stop_reason(), Some(Stop::LeaseLost));
        assert!(place.lost.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_counts_from_when_it_was_asked_for() {
        let list = InFlight::new(LEASE);
        let asked = Instant::now();
        tokio::time::advance(Duration::from_secs(7)).await;
        let place = list.enter(&job(1), asked);
        tokio::time::advance(Duration::from_secs(1)).await;
        list.stop_overdue();
        assert_eq!(place.stop_reason(), Some(Stop::LeaseLost));
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewed_attempt_goes_on() {
        let list = InFlight::new(LEASE);
        let place = list.enter(&job(1), Instant::now());
        for _ in 0..5 {
            tokio::time::advance(Duration::from_secs(5)).await;
            let keys: Vec<LeaseKey> = list.claims().into_iter().map(|(key, _)| key).collect();
            list.renewed(&keys, Instant::now());
            list.stop_overdue();
        }
        assert!(!place.token.is_cancelled());
    }

    #[tokio::test]
    async fn a_lost_lease_outweighs_a_hand_back() {
        let list = InFlight::new(LEASE);
        let place = list.enter(&job(1), Instant::now());
        list.stop_all(Stop::HandBack);
        list.stop(
            &LeaseKey {
                fence: 1,
                ..list.claims().remove(0).0
            },
            Stop::LeaseLost,
        );
        assert_eq!(place.stop_reason(), Some(Stop::LeaseLost));
    }

    #[tokio::test]
    async fn a_cancelled_job_is_not_handed_back() {
        let list = InFlight::new(LEASE);
        let place = list.enter(&job(1), Instant::now());
        list.stop_all(Stop::HandBack);
        let key = list.key(job(1).id).unwrap();
        list.stop(&key, Stop::Cancelled);
        list.stop_all(Stop::HandBack);
        assert_eq!(place.stop_reason(), Some(Stop::Cancelled));
    }

    #[tokio::test]
    async fn the_place_of_an_older_attempt_does_not_take_the_newer_one_out() {
        let list = InFlight::new(LEASE);
        let older = list.enter(&job(1), Instant::now());
        let newer = list.enter(&job(2), Instant::now());
        drop(older);
        assert_eq!(list.len(), 1);
        drop(newer);
        assert_eq!(list.len(), 0);
    }
}
