//! The reaper: takes jobs back from workers that vanished, in the record.
//!
//! Two reapers at once skip each other's rows. The slots are freed and the jobs offered again in the
//! same tick; if this process dies in between, [`super::keep_gate_open`] and
//! [`super::offer_forgotten_jobs`] do it.

use unity_shared::jobs::{Rescued, rescue_expired_leases};

use super::{Context, LoopError, offer_forgotten_jobs};

const PAGE: i64 = 500;

pub(super) async fn tick(context: &Context) -> Result<(), LoopError> {
    loop {
        let mut tx = context.database.engine().statement().await?;
        let rescued = rescue_expired_leases(&mut tx, PAGE, context.clock.now()).await?;
        for job in &rescued {
            tracing::warn!(
                tenant_id = %job.tenant_id, job_id = %job.id, kind = job.kind, status = job.status.as_str(),
                "lease expired: its worker is gone"
            );
            metrics::counter!("unity_jobs_rescued_total", "kind" => job.kind.clone()).increment(1);
        }
        drop(tx);
        free_slots(context, &rescued).await?;
        if i64::try_from(rescued.len()).unwrap_or(i64::MAX) < PAGE {
            if !rescued.is_empty() {
                offer_forgotten_jobs::tick(context).await?;
            }
            return Ok(());
        }
    }
}

async fn free_slots(context: &Context, rescued: &[Rescued]) -> Result<(), LoopError> {
    for job in rescued {
        context
            .gate
            .settle(job.worker_id, &job.queue, &[job.id])
            .await?;
    }
    Ok(())
}
