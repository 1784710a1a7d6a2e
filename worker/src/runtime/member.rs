//! This worker as a member of its queue.

use std::{sync::Arc, time::Duration};

use unity_shared::{
    ids::WorkerId,
    queue::{self, Gate, ReadyJob},
    telemetry::chain,
};

/// Pause before it is tried to rejoin, and before each further try.
const REJOIN_PAUSE: Duration = Duration::from_millis(250);

/// Who it is, and where.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub gate: Gate,
    pub worker: WorkerId,
    pub queue: Arc<str>,
}

impl Member {
    /// Begins anew after the ready queue was lost: what was fetched and not claimed waits again. Does not give up.
    pub(super) async fn rejoin(self) {
        loop {
            tokio::time::sleep(REJOIN_PAUSE).await;
            match self.gate.rejoin(self.worker, &self.queue).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(error = chain(&error), "could not rejoin, trying again");
                }
            }
        }
    }

    /// Gives jobs that were fetched and find no place here to the next worker. If that fails their slots
    /// end by themselves, and they wait again.
    pub(super) async fn pass_on(&self, jobs: &[ReadyJob]) {
        let nobody = queue::Member {
            worker: self.worker,
            queue: &self.queue,
            kinds: &[],
        };
        if let Err(error) = self.gate.claim(&nobody, jobs).await {
            tracing::warn!(
                error = chain(&error),
                jobs = jobs.len(),
                "could not pass jobs on"
            );
        }
    }
}
