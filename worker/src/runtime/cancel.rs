//! Ends running jobs that somebody wants to be cancelled.
//!
//! A message says which; the record says whether it is true, and notes that the worker knows. A
//! message that is lost is made good by the next heartbeat, which reads the wish with the lease.

use tokio::sync::broadcast::error::RecvError;
use unity_shared::{
    clock::Clock,
    db::Database,
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

impl Canceller {
    /// Listens until it is dropped.
    pub(super) async fn run(self) {
        let listener = self.gate.listen_for_cancels();
        let mut messages = listener.subscribe();
        loop {
            match messages.recv().await {
                Ok(Wake::Message(text)) => {
                    if let Some(key) = text
                        .parse()
                        .ok()
                        .and_then(|id: JobId| self.inflight.key(id))
                    {
                        self.deliver(&[key]).await;
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

    /// Ends those of these attempts whose job is not wanted any more.
    pub(super) async fn deliver(&self, keys: &[LeaseKey]) {
        let delivered = async {
            let mut tx = self.database.engine().statement().await?;
            deliver_cancels(&mut tx, keys, self.clock.now()).await
        };
        match delivered.await {
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
}
