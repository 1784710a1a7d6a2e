//! The reaper: takes jobs back from workers that vanished, in the record.
//!
//! Two reapers at once skip each other's rows. A job that is queued again stands in the gate where it
//! stood before, in the script that frees its slot; so nobody who waits for the same resource key
//! overtakes it. If this process dies in between, [`super::keep_gate_open`] and
//! [`super::offer_forgotten_jobs`] do it.
//!
//! A row that cannot be written fails the statement of its whole page. Then each is tried alone, and
//! what fails is left out until the next tick.

use std::{collections::HashMap, sync::Arc};

use unity_shared::{
    ids::{JobId, WorkerId},
    jobs::{Rescued, rescue_expired_leases, select_expired_leases},
    queue::{Offer, Settled},
    telemetry::chain,
};

use super::{Context, LoopError};

const PAGE: i64 = 500;

pub(super) async fn tick(context: &Context) -> Result<(), LoopError> {
    let mut refused = Vec::new();
    loop {
        let rescued = match rescue(context, None, &refused).await {
            Ok(rescued) => rescued,
            Err(LoopError::Database(error)) if error.may_be_one_rows() => {
                rescue_each(context, &mut refused).await?
            }
            Err(error) => return Err(error),
        };
        give_back(context, &rescued).await?;
        if i64::try_from(rescued.len()).unwrap_or(i64::MAX) < PAGE {
            return Ok(());
        }
    }
}

async fn rescue(
    context: &Context,
    only: Option<JobId>,
    without: &[JobId],
) -> Result<Vec<Rescued>, LoopError> {
    let mut tx = context.database.engine().statement().await?;
    let now = context.clock.now();
    Ok(rescue_expired_leases(&mut tx, PAGE, only, without, now).await?)
}

/// One page, job by job. What is refused is added to `refused`.
async fn rescue_each(
    context: &Context,
    refused: &mut Vec<JobId>,
) -> Result<Vec<Rescued>, LoopError> {
    let mut tx = context.database.engine().statement().await?;
    let expired = select_expired_leases(&mut tx, PAGE, refused, context.clock.now()).await?;
    drop(tx);
    let mut all = Vec::new();
    for id in expired {
        match rescue(context, Some(id), &[]).await {
            Ok(rescued) => all.extend(rescued),
            Err(LoopError::Database(error)) if error.may_be_one_rows() => {
                metrics::counter!("unity_rescues_refused_total").increment(1);
                tracing::error!(job_id = %id, error = chain(&error), "job cannot be rescued");
                refused.push(id);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// Frees the slots of what was rescued; what waits again has its place at once.
async fn give_back(context: &Context, rescued: &[Rescued]) -> Result<(), LoopError> {
    let mut lost: HashMap<WorkerId, Vec<Settled>> = HashMap::new();
    for job in rescued {
        lost.entry(job.worker).or_default().push(Settled {
            line: Arc::new(job.offer.line()),
            id: job.offer.id,
            ran: None,
            keyed: job.offer.resource_key.is_some(),
            waits_again: job.queued,
        });
    }
    for (worker, jobs) in &lost {
        tracing::warn!(worker_id = %worker, jobs = jobs.len(), "leases expired: the worker is gone");
        metrics::counter!("unity_jobs_rescued_total").increment(jobs.len() as u64);
        context.gate.settle(*worker, jobs).await?;
    }
    // For those that the gate had forgotten.
    let queued = rescued.iter().filter(|job| job.queued);
    let offers: Vec<Offer> = queued.map(|job| job.offer.clone()).collect();
    context.gate.offer(&offers).await?;
    Ok(())
}
