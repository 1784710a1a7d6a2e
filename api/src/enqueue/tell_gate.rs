//! Tells the gate what has been committed.
//!
//! The job exists by its row. If Redis does not answer, the caller still has a job: the sweeper
//! offers every queued row that the gate does not know.

use std::{future::Future, time::Duration};

use chrono::{DateTime, Utc};
use unity_shared::{
    ids::{JobId, TenantId},
    jobs::{Enqueued, JobStatus, NewJob},
    queue::{Gate, GateError, Offer},
    telemetry::chain,
    tenancy::LimitsAt,
};

/// A caller waits no longer than this for a queue that can be told later.
const PATIENCE: Duration = Duration::from_secs(1);

/// Offers those of the jobs that were written at `now` and are due, and has the gate forget the ones
/// whose place they took.
pub async fn tell_gate<'a>(
    gate: &Gate,
    jobs: impl IntoIterator<Item = (&'a TenantId, &'a NewJob)>,
    enqueued: &Enqueued,
    now: DateTime<Utc>,
) {
    if !enqueued.superseded.is_empty() {
        let ids: Vec<JobId> = enqueued.superseded.iter().map(|(_, id)| *id).collect();
        try_briefly("forget jobs", gate.forget(&ids)).await;
        let told = gate.tell(&enqueued.superseded);
        try_briefly("tell of jobs whose place was taken", told).await;
    }
    let due: Vec<Offer> = jobs
        .into_iter()
        .filter(|(_, job)| {
            enqueued.status_of(job, now) == JobStatus::Queued && enqueued.written.contains(&job.id)
        })
        .map(|(tenant, job)| job.offer(tenant))
        .collect();
    if !due.is_empty() {
        try_briefly("offer jobs", gate.offer(&due)).await;
    }
}

/// Tells the gate a tenant's limits. A call that comes later than it should changes nothing.
pub async fn announce_limits(gate: &Gate, limits: &LimitsAt) {
    let limits = std::slice::from_ref(limits);
    try_briefly("announce a tenant's limits", gate.set_limits(limits)).await;
}

/// Tells the gate something that a loop of the scheduler would tell it later.
pub async fn try_briefly<T>(what: &str, call: impl Future<Output = Result<T, GateError>>) {
    let problem = match tokio::time::timeout(PATIENCE, call).await {
        Ok(Ok(_)) => return,
        Ok(Err(error)) => chain(&error),
        Err(_) => format!("no answer within {PATIENCE:?}"),
    };
    tracing::warn!(error = problem, "could not {what}; the scheduler will");
}
