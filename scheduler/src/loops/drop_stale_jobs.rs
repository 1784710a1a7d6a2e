//! The sweeper the other way round: takes jobs out of the gate whose rows neither wait nor run.
//!
//! A job is stale when a process dies between the commit that ends it and the call that takes it out
//! of the gate. It would be dropped at its claim; until then it stands in the line for nothing. A
//! claimed job is left to its worker. A tick goes on for so long at most and the next one from there.

use std::time::Duration;

use tokio::time::Instant;
use unity_shared::{ids::JobId, jobs::select_idle};

use super::{Context, LoopError, offer_forgotten_jobs::UNDER_WAY};

/// How long a tick goes on.
const BUDGET: Duration = Duration::from_millis(150);

pub(super) async fn tick(context: &Context) -> Result<(), LoopError> {
    let started = Instant::now();
    loop {
        let (next, known) = context.gate.known(context.cursors.known()).await?;
        context.cursors.set_known(next);
        if !known.is_empty() {
            let mut tx = context.database.engine().statement().await?;
            let idle = select_idle(&mut tx, &known).await?;
            drop(tx);
            // Whoever ended a job a moment ago may be about to say so: that is no drift.
            let since = context.clock.now() - UNDER_WAY;
            let under_way = |ended: Option<_>| ended.is_some_and(|at| at >= since);
            let (ended_now, stale): (Vec<_>, Vec<_>) =
                idle.iter().partition(|job| under_way(job.finished_at));
            let ids = |jobs: &[&unity_shared::jobs::IdleJob]| -> Vec<JobId> {
                jobs.iter().map(|job| job.id).collect()
            };
            context.gate.forget(&ids(&ended_now)).await?;
            let dropped = context.gate.forget(&ids(&stale)).await?;
            if dropped > 0 {
                metrics::counter!("unity_gate_drift_total", "found" => "stale")
                    .increment(dropped as u64);
                tracing::info!(jobs = dropped, "stale jobs dropped");
            }
        }
        if next == 0 || started.elapsed() > BUDGET {
            return Ok(());
        }
    }
}
