//! The reaper: takes jobs back from workers that vanished, in the record.
//!
//! Two reapers at once skip each other's rows. The slots are freed and the jobs offered again in the
//! same tick; if this process dies in between, [`super::keep_gate_open`] and
//! [`super::offer_forgotten_jobs`] do it.

use std::collections::HashMap;

use unity_shared::{ids::WorkerId, jobs::rescue_expired_leases, queue::Settled};

use super::{Context, LoopError};

const PAGE: i64 = 500;

pub(super) async fn tick(context: &Context) -> Result<(), LoopError> {
    loop {
        let mut tx = context.database.engine().statement().await?;
        let rescued = rescue_expired_leases(&mut tx, PAGE, context.clock.now()).await?;
        drop(tx);
        let mut lost: HashMap<WorkerId, Vec<Settled>> = HashMap::new();
        for (id, worker) in &rescued.jobs {
            lost.entry(*worker)
                .or_default()
                .push(Settled { id: *id, ran: None });
        }
        for (worker, jobs) in &lost {
            tracing::warn!(worker_id = %worker, jobs = jobs.len(), "leases expired: the worker is gone");
            metrics::counter!("unity_jobs_rescued_total").increment(jobs.len() as u64);
            context.gate.settle(*worker, jobs).await?;
        }
        context.gate.offer(&rescued.offers).await?;
        if i64::try_from(rescued.jobs.len()).unwrap_or(i64::MAX) < PAGE {
            return Ok(());
        }
    }
}
