//! Ends running jobs that somebody wants to be cancelled.
//!
//! A message says which; the record says whether it is true, and notes that the worker knows. A
//! message that is lost is made good by the next heartbeat, which reads the wish with the lease. One
//! that comes between a job's claim and its start is kept for a moment.

use std::{collections::HashSet, time::Duration};

use tokio::{sync::broadcast::error::RecvError, time::Instant};
use unity_shared::{
    batch::by_tenant,
    clock::Clock,
    db::{Database, DbError},
    ids::JobId,
    jobs::{LeaseKey, deliver_cancels},
    queue::{Gate, Wake},
    telemetry::chain,
};

use super::inflight::{InFlight, Stop};

/// What delivering needs.
#[derive(Debug, Clone)]
pub(super) struct Canceller {
    pub database: Database,
    pub gate: Gate,
    pub clock: Clock,
    pub inflight: InFlight,
}

/// How long a message is kept for a job that this process does not have, or does not have yet. A claim
/// takes less; whatever takes longer is for the heartbeat.
const KEPT_FOR: Duration = Duration::from_secs(2);
/// How often it is looked whether such a job has begun.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

impl Canceller {
    /// Listens until it is dropped.
    pub(super) async fn run(self) {
        let listener = self.gate.listen_for_cancels();
        let mut messages = listener.subscribe();
        let mut early: Vec<(JobId, Instant)> = Vec::new();
        loop {
            let message = tokio::select! {
                message = messages.recv() => message,
                () = tokio::time::sleep(LOOK_AGAIN), if !early.is_empty() => {
                    self.look_again(&mut early).await;
                    continue;
                }
            };
            match message {
                Ok(Wake::Message(text)) => {
                    if let Ok(id) = text.parse::<JobId>() {
                        match self.inflight.key(id) {
                            Some(key) => self.deliver(&[key]).await,
                            None => early.push((id, Instant::now())),
                        }
                    }
                }
                Ok(Wake::Reconnected) | Err(RecvError::Lagged(_)) => {
                    let keys: Vec<LeaseKey> = self
                        .inflight
                        .claims()
                        .into_iter()
                        .map(|(key, _)| key)
                        .collect();
                    if !keys.is_empty() {
                        self.deliver(&keys).await;
                    }
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Delivers the messages whose jobs have begun since, and forgets those that are old.
    async fn look_again(&self, early: &mut Vec<(JobId, Instant)>) {
        let begun = early.extract_if(.., |(id, _)| self.inflight.key(*id).is_some());
        let begun: Vec<LeaseKey> = begun.filter_map(|(id, _)| self.inflight.key(id)).collect();
        early.retain(|(_, since)| since.elapsed() < KEPT_FOR);
        if !begun.is_empty() {
            self.deliver(&begun).await;
        }
    }

    /// Ends those of these attempts whose job is not wanted any more.
    pub(super) async fn deliver(&self, keys: &[LeaseKey]) {
        let delivered = match self.note(keys).await {
            Err(error) if error.may_be_one_rows() => {
                tracing::debug!(error = chain(&error), "cancelling tenant by tenant");
                let tenants = by_tenant(keys.iter().cloned(), |key| &key.tenant_id);
                let each = tenants.values().map(|own| self.note(own));
                let each = futures::future::join_all(each).await.into_iter();
                each.reduce(|all, own| match (all, own) {
                    (Ok(mut all), Ok(own)) => {
                        all.extend(own);
                        Ok(all)
                    }
                    // Those that failed are for the next heartbeat.
                    (Ok(known), Err(_)) | (Err(_), Ok(known)) => Ok(known),
                    (Err(error), Err(_)) => Err(error),
                })
                .unwrap_or_else(|| Ok(HashSet::new()))
            }
            answer => answer,
        };
        match delivered {
            Ok(unwanted) => {
                for key in keys.iter().filter(|key| unwanted.contains(&key.id)) {
                    tracing::info!(job_id = %key.id, tenant_id = %key.tenant_id, "cancelling");
                    self.inflight.stop(key, Stop::Cancelled);
                }
            }
            Err(error) => {
                tracing::warn!(
                    error = chain(&error),
                    "could not note that jobs are cancelled"
                );
            }
        }
    }

    async fn note(&self, keys: &[LeaseKey]) -> Result<HashSet<JobId>, DbError> {
        let mut tx = self.database.engine().statement().await?;
        deliver_cancels(&mut tx, keys, self.clock.now()).await
    }
}
