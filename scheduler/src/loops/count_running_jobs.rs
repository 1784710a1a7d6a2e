//! Gives running jobs their slots back that Redis has lost.
//!
//! Slots go with their leases, and [`super::keep_gate_open`] extends those that are about to end. This
//! loop looks the other way round, from the rows: whatever runs must be counted. A job that ends
//! between two looks is not counted again: what is missing is looked up in the record once more, and
//! only what still runs then is written.

use std::collections::BTreeSet;

use unity_shared::{
    ids::JobId,
    jobs::{select_running, select_running_page},
};

use super::{Context, LoopError};

const PAGE: i64 = 1000;

pub(super) async fn tick(context: &Context) -> Result<(), LoopError> {
    let mut after = None;
    loop {
        let mut tx = context.database.engine().statement().await?;
        let page = select_running_page(&mut tx, context.gate.shard(), after, PAGE).await?;
        drop(tx);
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = Some(last.offer.id);
        let now = context.clock.now();
        let live: Vec<_> = page
            .into_iter()
            .filter(|job| job.lease_expires_at > now)
            .collect();
        let missing = context.gate.uncounted(&live).await?;
        if !missing.is_empty() {
            count(context, &missing).await?;
        }
    }
}

async fn count(context: &Context, missing: &[JobId]) -> Result<(), LoopError> {
    let mut tx = context.database.engine().statement().await?;
    let running = select_running(&mut tx, missing, context.clock.now()).await?;
    drop(tx);
    let counted: BTreeSet<JobId> = context.gate.extend(&running).await?.into_iter().collect();
    if !counted.is_empty() {
        metrics::counter!("unity_gate_drift_total", "found" => "uncounted")
            .increment(counted.len() as u64);
        tracing::warn!(jobs = counted.len(), "running jobs counted again");
    }
    Ok(())
}
