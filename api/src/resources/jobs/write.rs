//! Writes jobs in a transaction of their own: all of them or none, and with the answer that a
//! repetition of the request gets.

use axum::response::Response;
use chrono::{DateTime, Utc};
use unity_shared::{
    audit::{Author, record},
    jobs::{Enqueued, NewJob, enqueue_jobs, jobs_created},
    tenancy::RecordedAnswer,
};

use super::repeat::{after_lost_race, find_before, keep};
use crate::{
    auth::TenantCaller,
    enqueue::{explain, tell_gate},
    error::ApiError,
    extract::IdempotentRequest,
    state::ApiState,
};

/// What became of an order.
pub enum Written {
    /// The jobs were written, at this instant.
    At(DateTime<Utc>),
    /// The same request came before and this is its answer.
    Before(Response),
}

/// Writes the jobs; with a `request`, also what `answer` makes of it, for its repetition.
pub async fn write_apart(
    state: &ApiState,
    caller: &TenantCaller,
    author: &Author,
    jobs: &[NewJob],
    request: Option<&IdempotentRequest>,
    answer: impl Fn(&IdempotentRequest, DateTime<Utc>) -> RecordedAnswer,
) -> Result<Written, ApiError> {
    let now = state.clock().now();
    match write(state, caller, author, jobs, request, &answer, now).await {
        Ok(Ok(enqueued)) => {
            let jobs = jobs.iter().map(|job| (&caller.tenant, job));
            tell_gate(state.gate(), jobs, &enqueued, now).await;
            Ok(Written::At(now))
        }
        Ok(Err(before)) => Ok(Written::Before(before)),
        Err(error) => after_lost_race(state, &caller.tenant, request, error)
            .await
            .map(Written::Before),
    }
}

/// What was written, or the answer from before.
async fn write(
    state: &ApiState,
    caller: &TenantCaller,
    author: &Author,
    jobs: &[NewJob],
    request: Option<&IdempotentRequest>,
    answer: &impl Fn(&IdempotentRequest, DateTime<Utc>) -> RecordedAnswer,
    now: DateTime<Utc>,
) -> Result<Result<Enqueued, Response>, ApiError> {
    let mut tx = state.database().tenant(&caller.tenant).await?;
    if let Some(before) = find_before(&mut tx, request).await? {
        return Ok(Err(before));
    }
    let enqueued = enqueue_jobs(&mut tx, jobs, now).await?;
    if let Some(left_out) = jobs.iter().find(|job| !enqueued.written.contains(&job.id)) {
        return Err(explain(state, &mut tx, left_out).await?);
    }
    keep(&mut tx, request, |request| answer(request, now), now).await?;
    let created = jobs_created(jobs.iter().map(|job| (job.id, job.kind_name())));
    record(&mut tx, author, &created, now).await?;
    tx.commit().await?;
    Ok(Ok(enqueued))
}
