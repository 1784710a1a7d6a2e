//! `POST /jobs`.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use chrono::{DateTime, Utc};
use serde_json::json;
use unity_shared::{
    audit::Author,
    ids::RequestId,
    jobs::{Enqueued, NewJob},
};

use super::{
    order::JobOrder,
    repeat::or_before,
    view::{JobView, accepted, address},
    write::{Apart, Written, write_apart},
};
use crate::{
    audit::By,
    auth::TenantCaller,
    enqueue::{Fate, Order, why_not_written},
    error::ApiError,
    extract::{Idempotency, IdempotentRequest, JsonBody, NoParameters},
    middleware::CurrentRequestId,
    problem::ProblemBody,
    state::ApiState,
};

/// Enqueues a job of the caller's tenant.
#[utoipa::path(
    post,
    path = "/jobs",
    tag = "jobs",
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters.")),
    request_body = JobOrder,
    responses(
        (status = 202, description = "Committed: the job will be run at least once.", body = JobView,
         headers(
            ("Location" = String, description = "Where to look how it is doing."),
            ("Retry-After" = u32, description = "Seconds until looking makes sense."),
         )),
        (status = 409, description = "A switch takes no such jobs in.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 413, description = "A payload over 64 KiB, or a body over 1 MiB.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 422, description = "Values that cannot be accepted.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 429, description = "As many jobs wait as may.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn create_job(
    State(state): State<ApiState>,
    caller: TenantCaller,
    By(author): By,
    CurrentRequestId(request_id): CurrentRequestId,
    NoParameters: NoParameters,
    idempotency: Idempotency,
    JsonBody { value: order, raw }: JsonBody<JobOrder>,
) -> Result<Response, ApiError> {
    let request = idempotency.request(&raw);
    let orderer = Orderer {
        caller: &caller,
        author,
        request_id,
    };
    match create(&state, orderer, order, request.as_ref()).await {
        Ok(response) => Ok(response),
        Err(refusal) => or_before(&state, &caller.tenant, request.as_ref(), refusal).await,
    }
}

/// Who orders a job.
struct Orderer<'a> {
    caller: &'a TenantCaller,
    author: Arc<Author>,
    request_id: RequestId,
}

async fn create(
    state: &ApiState,
    orderer: Orderer<'_>,
    order: JobOrder,
    request: Option<&IdempotentRequest>,
) -> Result<Response, ApiError> {
    let Orderer {
        caller,
        author,
        request_id,
    } = orderer;
    let now = state.clock().now();
    let job = order.accept(state, caller.role, request_id, now)?;
    let Some(request) = request else {
        let now = write_together(state, caller, author, &job).await?;
        return Ok(accepted(job.first_state(&caller.tenant, now)));
    };
    // In a transaction with the answer that a repetition gets.
    let answer = |request: &IdempotentRequest, _: &Enqueued| {
        let view = JobView::from(job.first_state(&caller.tenant, now));
        request.answer(StatusCode::ACCEPTED, Some(&address(job.id)), json!(view))
    };
    let apart = Apart {
        jobs: std::slice::from_ref(&job),
        author: &author,
        request: Some(request),
        now,
        is_batch: false,
    };
    match write_apart(state, caller, &apart, answer).await? {
        Written::Now(_) => Ok(accepted(job.first_state(&caller.tenant, now))),
        Written::Before(response) => Ok(response),
    }
}

/// With whatever else arrives now.
async fn write_together(
    state: &ApiState,
    caller: &TenantCaller,
    author: Arc<Author>,
    job: &NewJob,
) -> Result<DateTime<Utc>, ApiError> {
    let places = state.waiting_caps().take(state, &caller.tenant, 1).await?;
    let order = Order {
        tenant: caller.tenant.clone(),
        jobs: Arc::new([job.clone()]),
        author,
        places,
    };
    let outcome = state
        .group_commit()
        .call(order)
        .await
        .ok_or_else(|| ApiError::Defect("the group commit has ended".to_owned()))?;
    match outcome? {
        Fate::At(now) => Ok(now),
        Fate::LeftOut => Err(why_not_written(state, &caller.tenant, job).await),
        Fate::Full(refusal) => Err(refusal),
    }
}
