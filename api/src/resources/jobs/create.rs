//! `POST /jobs`.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use chrono::{DateTime, Utc};
use serde_json::json;
use unity_shared::{
    audit::Author,
    jobs::{JobOrdered, NewJob},
};

use super::{
    order::JobOrder,
    view::{JobView, accepted, address},
    write::{Written, write_apart},
};
use crate::{
    audit::By,
    auth::TenantCaller,
    enqueue::why_not_written,
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
    let job = order.accept(&state, caller.role, request_id, state.clock().now())?;
    state.waiting_caps().take(&state, &caller.tenant, 1).await?;
    let written = match idempotency.request(&raw) {
        Some(request) => write_repeatable(&state, &caller, &author, &job, &request).await?,
        None => Written::At(write_together(&state, &caller, author, &job).await?),
    };
    match written {
        Written::At(now) => Ok(accepted(job.first_state(&caller.tenant, now))),
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
    let order = JobOrdered {
        tenant: caller.tenant.clone(),
        job: job.clone(),
        author,
    };
    let outcome = state
        .group_commit()
        .call(order)
        .await
        .ok_or_else(|| ApiError::Defect("the group commit has ended".to_owned()))?;
    match outcome? {
        Some(now) => Ok(now),
        None => Err(why_not_written(state, &caller.tenant, job).await),
    }
}

/// In a transaction with the answer that a repetition gets.
async fn write_repeatable(
    state: &ApiState,
    caller: &TenantCaller,
    author: &Author,
    job: &NewJob,
    request: &IdempotentRequest,
) -> Result<Written, ApiError> {
    let answer = |request: &IdempotentRequest, now| {
        let view = JobView::from(job.first_state(&caller.tenant, now));
        request.answer(StatusCode::ACCEPTED, Some(&address(job.id)), json!(view))
    };
    let jobs = std::slice::from_ref(job);
    write_apart(state, caller, author, jobs, Some(request), answer).await
}
