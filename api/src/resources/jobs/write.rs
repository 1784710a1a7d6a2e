//! Writes jobs in a transaction of their own: all of them or none, and with the answer that a
//! repetition of the request gets.

use axum::{
    http::{HeaderValue, header},
    response::Response,
};
use chrono::{DateTime, Utc};
use unity_shared::{
    jobs::{Enqueued, NewJob, enqueue_jobs},
    tenancy::{RecordedAnswer, find_tenant_answer, insert_tenant_answer},
};

use crate::{
    auth::TenantCaller,
    enqueue::{explain, tell_gate},
    error::ApiError,
    extract::IdempotentRequest,
    state::ApiState,
};

/// When a client should first look how its job is doing, in seconds.
pub const LOOK_AFTER: HeaderValue = HeaderValue::from_static("1");

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
    jobs: &[NewJob],
    request: Option<&IdempotentRequest>,
    answer: impl Fn(&IdempotentRequest, DateTime<Utc>) -> RecordedAnswer,
) -> Result<Written, ApiError> {
    let now = state.clock().now();
    let written = match write(state, caller, jobs, request, &answer, now).await {
        Err(error) => return after_lost_race(state, caller, request, error).await,
        Ok(written) => written,
    };
    match written {
        Ok(enqueued) => {
            let jobs = jobs.iter().map(|job| (&caller.tenant, job));
            tell_gate(state.gate(), jobs, &enqueued, now).await;
            Ok(Written::At(now))
        }
        Err(before) => Ok(Written::Before(before)),
    }
}

/// What was written, or the answer from before.
async fn write(
    state: &ApiState,
    caller: &TenantCaller,
    jobs: &[NewJob],
    request: Option<&IdempotentRequest>,
    answer: &impl Fn(&IdempotentRequest, DateTime<Utc>) -> RecordedAnswer,
    now: DateTime<Utc>,
) -> Result<Result<Enqueued, Response>, ApiError> {
    let mut tx = state.database().tenant(&caller.tenant).await?;
    if let Some(request) = request
        && let Some(recorded) = find_tenant_answer(&mut tx, &request.key).await?
    {
        return Ok(Err(replay(request, recorded)?));
    }
    let enqueued = enqueue_jobs(&mut tx, jobs, now).await?;
    if let Some(left_out) = jobs.iter().find(|job| !enqueued.written.contains(&job.id)) {
        return Err(explain(state, &mut tx, left_out).await?);
    }
    if let Some(request) = request {
        insert_tenant_answer(&mut tx, &request.key, &answer(request, now), now).await?;
    }
    tx.commit().await?;
    Ok(Ok(enqueued))
}

async fn after_lost_race(
    state: &ApiState,
    caller: &TenantCaller,
    request: Option<&IdempotentRequest>,
    error: ApiError,
) -> Result<Written, ApiError> {
    let lost = matches!(&error, ApiError::Database(inner) if IdempotentRequest::lost_race(inner));
    let Some(request) = request.filter(|_| lost) else {
        return Err(error);
    };
    let mut tx = state.database().tenant(&caller.tenant).await?;
    match find_tenant_answer(&mut tx, &request.key).await? {
        Some(recorded) => Ok(Written::Before(replay(request, recorded)?)),
        None => Err(error),
    }
}

fn replay(request: &IdempotentRequest, recorded: RecordedAnswer) -> Result<Response, ApiError> {
    let mut response = request.replay(recorded)?;
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, LOOK_AFTER);
    Ok(response)
}
