//! `POST /jobs:batch`.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use unity_shared::{
    ids::{JobId, RequestId},
    jobs::{JobStatus, NewJob},
};

use super::{
    order::JobOrder,
    repeat::LOOK_AFTER,
    write::{Written, write_apart},
};
use crate::{
    audit::By,
    auth::TenantCaller,
    error::ApiError,
    extract::{Idempotency, IdempotentRequest, JsonBody, NoParameters},
    middleware::CurrentRequestId,
    problem::{FieldError, ProblemBody},
    state::ApiState,
    violations::Violations,
};

/// Most jobs of one request.
const MOST: usize = 1000;
/// A thousand jobs with payloads of a few kilobytes each.
const BODY_LIMIT_BYTES: usize = 8 * 1024 * 1024;

/// Jobs to be enqueued together.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchOrder {
    /// 1 to 1000 jobs. All are enqueued, or none.
    #[schema(min_items = 1, max_items = 1000)]
    jobs: Vec<JobOrder>,
}

/// Jobs that were enqueued together, in the order of the request.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct BatchCreated {
    items: Vec<BatchItem>,
}

/// One of them.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct BatchItem {
    /// The job.
    id: JobId,
    /// `queued`, or `scheduled` if its time has not come.
    status: JobStatus,
}

/// Enqueues 1 to 1000 jobs of the caller's tenant: all of them or none. The body has at most 8 MiB.
#[utoipa::path(
    post,
    path = "/jobs:batch",
    tag = "jobs",
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters.")),
    request_body = BatchOrder,
    responses(
        (status = 202, description = "Committed: each job will be run at least once.", body = BatchCreated,
         headers(("Retry-After" = u32, description = "Seconds until looking makes sense."))),
        (status = 409, description = "A switch takes one of them not in.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 422, description = "Values that cannot be accepted; `pointer` names the job.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 429, description = "So many more jobs may not wait.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn create_batch(
    State(state): State<ApiState>,
    caller: TenantCaller,
    By(author): By,
    CurrentRequestId(request_id): CurrentRequestId,
    NoParameters: NoParameters,
    idempotency: Idempotency,
    JsonBody { value: order, raw }: JsonBody<BatchOrder, BODY_LIMIT_BYTES>,
) -> Result<Response, ApiError> {
    let jobs = accept(&state, &caller, order, request_id)?;
    let count = u32::try_from(jobs.len()).unwrap_or(u32::MAX);
    state
        .waiting_caps()
        .take(&state, &caller.tenant, count)
        .await?;
    let request = idempotency.request(&raw);
    let answer = |request: &IdempotentRequest, now| {
        request.answer(StatusCode::ACCEPTED, None, json!(created(&jobs, now)))
    };
    match write_apart(&state, &caller, &author, &jobs, request.as_ref(), answer).await? {
        Written::At(now) => {
            let look_after = [(header::RETRY_AFTER, LOOK_AFTER)];
            let body = Json(created(&jobs, now));
            Ok((StatusCode::ACCEPTED, look_after, body).into_response())
        }
        Written::Before(response) => Ok(response),
    }
}

fn created(jobs: &[NewJob], now: DateTime<Utc>) -> BatchCreated {
    let items = jobs.iter().map(|job| BatchItem {
        id: job.id,
        status: job.first_status(now),
    });
    BatchCreated {
        items: items.collect(),
    }
}

/// Every job as it will be written, or the faults of all of them, each under its place in the body.
fn accept(
    state: &ApiState,
    caller: &TenantCaller,
    order: BatchOrder,
    request_id: RequestId,
) -> Result<Vec<NewJob>, ApiError> {
    let now = state.clock().now();
    let mut faults = Vec::new();
    if !(1..=MOST).contains(&order.jobs.len()) {
        let mut violations = Violations::default();
        violations.add("/jobs", "count", &format!("must be 1 to {MOST} jobs"));
        violations.finish()?;
    }
    let mut jobs = Vec::with_capacity(order.jobs.len());
    for (place, job) in order.jobs.into_iter().enumerate() {
        match job.accept(state, caller.role, request_id, now) {
            Ok(job) => jobs.push(job),
            Err(error) => faults.extend(faults_at(place, error)?),
        }
    }
    if faults.is_empty() {
        Ok(jobs)
    } else {
        Err(ApiError::Invalid(faults))
    }
}

/// The faults of one job, or what refuses the request as a whole.
fn faults_at(place: usize, error: ApiError) -> Result<Vec<FieldError>, ApiError> {
    let errors = error.errors();
    if errors.is_empty() {
        return Err(error);
    }
    Ok(errors
        .into_iter()
        .map(|fault| FieldError {
            pointer: format!("/jobs/{place}{}", fault.pointer),
            ..fault
        })
        .collect())
}
