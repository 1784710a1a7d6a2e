//! Keeps the leases of running jobs alive, apart from the work.
//!
//! A third of a lease passes between two beats, so two may fail. An attempt whose lease was not
//! renewed for four fifths of its length is ended here, before another worker may begin it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::{Instant, MissedTickBehavior},
};
use unity_shared::{
    batch::by_tenant,
    clock::Clock,
    db::{DbError, Engine, KeptSessions, PlatformTx},
    ids::{JobId, WorkerId},
    jobs::{LeaseKey, renew_leases},
    queue::{Beat, Gate, Member, Offer, Wake},
    telemetry::chain,
};

use super::{
    cancel::Canceller,
    capacity::Capacity,
    inflight::{InFlight, Stop},
    register::touch_worker,
};

/// What a heartbeat needs.
#[derive(Debug, Clone)]
pub(super) struct Heartbeat {
    /// One of its own: leases are renewed however many statements wait for the pool's.
    pub sessions: KeptSessions,
    pub gate: Gate,
    pub clock: Clock,
    pub worker: WorkerId,
    pub pool: Arc<str>,
    pub queue: Arc<str>,
    pub kinds: Arc<[&'static str]>,
    pub capacity: Capacity,
    pub canceller: Canceller,
    pub inflight: InFlight,
    pub lease: Duration,
}

impl Heartbeat {
    /// Beats until it is dropped; at once when the capacity changes, or an operator has set the pool.
    pub(super) async fn run(self) {
        let interval = self.lease / 3;
        let mut changes = self.capacity.changes();
        let listener = self.gate.listen_for_pools();
        let mut settings = listener.subscribe();
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = changes.next() => {}
                () = self.pool_was_set(&mut settings) => {}
            }
            // A call that hangs must not outlive its beat: the next one may get through.
            let _ = tokio::time::timeout(interval, self.beat()).await;
        }
    }

    /// Returns when the pool may have been set. What was missed is seen at the next beat.
    async fn pool_was_set(&self, settings: &mut broadcast::Receiver<Wake>) {
        loop {
            match settings.recv().await {
                Ok(Wake::Message(pool)) if *pool == *self.pool => return,
                Ok(Wake::Message(_) | Wake::Reconnected) => {}
                Err(RecvError::Lagged(_)) => return,
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// Ends attempts that could not be renewed in time. Runs beside [`Heartbeat::run`], so that a
    /// hanging call cannot delay it.
    pub(super) async fn guard(inflight: InFlight) {
        loop {
            match inflight.stop_overdue() {
                Some(due) => tokio::time::sleep_until(due).await,
                None => inflight.entered().await,
            }
        }
    }

    /// The record first: only what it still calls ours is renewed in the gate, which counts a
    /// claim again that it had forgotten.
    async fn beat(&self) {
        let asked = Instant::now();
        let keys: Vec<LeaseKey> = self
            .inflight
            .claims()
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        let kept = match self.renew(&keys, asked).await {
            Ok(kept) => kept,
            Err(error) => {
                tracing::warn!(
                    error = chain(&error),
                    "could not renew leases in the record"
                );
                return;
            }
        };
        // Read anew, and sent without a pause: a job that has settled meanwhile is not in it, and the
        // settlement of one that still is will reach Redis after this call, on the same connection.
        let offers: Vec<Offer> = self
            .inflight
            .claims()
            .into_iter()
            .filter(|(key, _)| kept.contains_key(&key.id))
            .map(|(_, offer)| offer)
            .collect();
        let beat = Beat {
            member: Member {
                worker: self.worker,
                queue: &self.queue,
                kinds: &self.kinds,
            },
            capacity: self.capacity.current(),
            claims: &offers,
        };
        match self.gate.beat(&beat).await {
            Ok(lost) => {
                for key in keys.iter().filter(|key| lost.contains(&key.id)) {
                    self.inflight.stop(key, Stop::LeaseLost);
                }
            }
            Err(error) => {
                tracing::warn!(error = chain(&error), "could not renew leases in the gate");
            }
        }
    }

    /// Renews in the record, and notes what was kept and what was lost.
    async fn renew(
        &self,
        keys: &[LeaseKey],
        asked: Instant,
    ) -> Result<HashMap<JobId, bool>, DbError> {
        match self.try_renew(keys, asked).await {
            // The server may have ended the connection since the last beat; this one is new.
            Err(DbError::Unavailable(_)) => self.try_renew(keys, asked).await,
            answer => answer,
        }
    }

    /// Where the rows of one tenant cannot be written, or somebody holds them, those of the others are renewed
    /// all the same; its own are neither kept nor lost.
    async fn try_renew(
        &self,
        keys: &[LeaseKey],
        asked: Instant,
    ) -> Result<HashMap<JobId, bool>, DbError> {
        let mut session = self.sessions.take().await?;
        let renewed = self.touch_and_renew(&mut session, keys, asked).await;
        session.give_back(&renewed);
        let all = match renewed {
            Err(error) if error.may_be_one_rows() => error,
            answer => return answer,
        };
        tracing::debug!(error = chain(&all), "renewing tenant by tenant");
        let tenants = by_tenant(keys.iter().cloned(), |key| &key.tenant_id);
        let each = tenants.values().map(|keys| async {
            let mut session = self.sessions.take().await?;
            let kept = self.renew_rows(&mut session, keys, asked).await;
            session.give_back(&kept);
            kept
        });
        let mut kept = HashMap::new();
        for answer in futures::future::join_all(each).await {
            match answer {
                Ok(own) => kept.extend(own),
                Err(error) => {
                    tracing::warn!(error = chain(&error), "could not renew a tenant's leases");
                }
            }
        }
        Ok(kept)
    }

    async fn note(&self, keys: &[LeaseKey], kept: &HashMap<JobId, bool>, asked: Instant) {
        let (renewed, lost): (Vec<LeaseKey>, Vec<LeaseKey>) = keys
            .iter()
            .cloned()
            .partition(|key| kept.contains_key(&key.id));
        self.inflight.renewed(&renewed, asked);
        for key in &lost {
            // Also true for a job whose verdict was written a moment ago; stopping it then changes
            // nothing.
            self.inflight.stop(key, Stop::LeaseLost);
        }
        let unwanted: Vec<LeaseKey> = renewed
            .into_iter()
            .filter(|key| kept.get(&key.id) == Some(&true))
            .collect();
        if !unwanted.is_empty() {
            self.canceller.deliver(&unwanted).await;
        }
    }

    async fn touch_and_renew(
        &self,
        session: &mut PlatformTx<Engine>,
        keys: &[LeaseKey],
        asked: Instant,
    ) -> Result<HashMap<JobId, bool>, DbError> {
        let (now, capacity) = (self.clock.now(), self.capacity.current());
        let pool = touch_worker(session, self.worker, capacity, keys.len(), now).await?;
        self.capacity.set_pool(pool);
        self.renew_rows(session, keys, asked).await
    }

    async fn renew_rows(
        &self,
        session: &mut PlatformTx<Engine>,
        keys: &[LeaseKey],
        asked: Instant,
    ) -> Result<HashMap<JobId, bool>, DbError> {
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let now = self.clock.now();
        let kept = renew_leases(session, keys, now, now + self.lease).await?;
        self.note(keys, &kept, asked).await;
        Ok(kept)
    }
}
