//! Frees the slots of jobs that this worker is done with, whatever became of them.

use std::num::NonZeroUsize;

use unity_shared::{
    batch::{BatchLimits, Batcher},
    ids::WorkerId,
    queue::{Gate, Settled},
    telemetry::chain,
};

/// One call at a time: the next admissions come with it, and Redis runs scripts one by one anyway.
const LIMITS: BatchLimits = BatchLimits {
    items: 500,
    calls: NonZeroUsize::MIN,
};

/// What settling needs.
#[derive(Debug, Clone)]
pub(super) struct Settler {
    pub gate: Gate,
    pub worker: WorkerId,
}

impl Settler {
    /// The queue in front of it.
    pub(super) fn start(self) -> Batcher<Settled, ()> {
        Batcher::start(LIMITS, move |jobs: Vec<Settled>| {
            let settler = self.clone();
            async move {
                if let Err(error) = settler.gate.settle(settler.worker, &jobs).await {
                    // The slots end by themselves; until then the tenants have less than their limit.
                    tracing::warn!(
                        error = chain(&error),
                        jobs = jobs.len(),
                        "could not free slots"
                    );
                }
                jobs.iter().map(|_| ()).collect()
            }
        })
    }
}
