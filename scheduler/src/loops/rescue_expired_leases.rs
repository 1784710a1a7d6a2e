//! The reaper: takes jobs back from workers that vanished, in the record.
//!
//! Two reapers at once skip each other's rows. The slots of these jobs are freed by
//! [`super::keep_gate_open`]; the jobs come back to the gate by [`super::offer_forgotten_jobs`].

use unity_shared::jobs::rescue_expired_leases;

use super::{Context, LoopError};

const PAGE: i64 = 500;

pub(super) async fn tick(context: &Context) -> Result<(), LoopError> {
    loop {
        let mut tx = context.database.engine().statement().await?;
        let rescued = rescue_expired_leases(&mut tx, PAGE, context.clock.now()).await?;
        for job in &rescued {
            tracing::warn!(
                tenant_id = %job.tenant_id, job_id = %job.id, kind = job.kind, status = job.status,
                "lease expired: its worker is gone"
            );
            metrics::counter!("unity_jobs_rescued_total", "kind" => job.kind.clone()).increment(1);
        }
        if i64::try_from(rescued.len()).unwrap_or(i64::MAX) < PAGE {
            return Ok(());
        }
    }
}
