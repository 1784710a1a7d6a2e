//! Tells the gate what has been committed.
//!
//! The job exists by its row. If Redis does not answer, the caller still has a job: the sweeper
//! offers every queued row that the gate does not know.

use std::{future::Future, time::Duration};

use chrono::{DateTime, Utc};
use unity_shared::{
    ids::TenantId,
    jobs::{JobStatus, NewJob},
    queue::GateError,
    telemetry::chain,
    tenancy::JobLimits,
};

use crate::state::ApiState;

/// A caller waits no longer than this for a queue that can be told later.
const PATIENCE: Duration = Duration::from_secs(1);

/// Offers a job that was written at `now`, if it is due.
pub async fn offer_job(
    state: &ApiState,
    tenant: &TenantId,
    limits: JobLimits,
    job: &NewJob,
    now: DateTime<Utc>,
) {
    if job.first_status(now) == JobStatus::Queued {
        let offers = [job.offer(tenant, limits)];
        try_briefly("offer a job", state.gate().offer(&offers)).await;
    }
}

/// Tells the gate a new tenant's limits.
pub async fn announce_limits(state: &ApiState, tenant: &TenantId, limits: JobLimits) {
    let limits = [(tenant.clone(), limits)];
    try_briefly(
        "announce a tenant's limits",
        state.gate().set_limits(&limits),
    )
    .await;
}

async fn try_briefly<T>(what: &str, call: impl Future<Output = Result<T, GateError>>) {
    let problem = match tokio::time::timeout(PATIENCE, call).await {
        Ok(Ok(_)) => return,
        Ok(Err(error)) => chain(&error),
        Err(_) => format!("no answer within {PATIENCE:?}"),
    };
    tracing::warn!(error = problem, "could not {what}; the sweeper will");
}
