//! `POST /jobs`.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use chrono::{DateTime, Utc};
use serde_json::json;
use unity_shared::{
    audit::Author,
    ids::{RequestId, TenantId},
    jobs::{Enqueued, NewJob},
    tenancy::RecordedAnswer,
};

use super::{
    order::JobOrder,
    repeat::{or_before, repeat},
    view::{JobView, accepted, address},
    write::{Apart, Written, write_apart, write_together},
};
use crate::{
    audit::By,
    auth::TenantCaller,
    enqueue::{Fate, Keep, why_not_written},
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
    let keep = request.map(|request| {
        let (request, tenant, job) = (request.clone(), caller.tenant.clone(), job.clone());
        Keep {
            key: request.key.clone(),
            answer: Box::new(move |now| answer(&request, &tenant, &job, now)),
        }
    });
    let jobs: Arc<[NewJob]> = Arc::new([job.clone()]);
    match write_together(state, caller, &author, &jobs, keep).await? {
        Some(Fate::At(now)) => Ok(accepted(job.first_state(&caller.tenant, now))),
        Some(Fate::LeftOut) => Err(why_not_written(state, &caller.tenant, &job).await),
        Some(Fate::Full(refusal)) => Err(refusal),
        Some(Fate::Repeated) => repeat(state, &caller.tenant, request).await,
        None => create_apart(state, caller, &author, &job, request, now).await,
    }
}

async fn create_apart(
    state: &ApiState,
    caller: &TenantCaller,
    author: &Arc<Author>,
    job: &NewJob,
    request: Option<&IdempotentRequest>,
    now: DateTime<Utc>,
) -> Result<Response, ApiError> {
    let apart = Apart {
        jobs: std::slice::from_ref(job),
        author,
        request,
        now,
        is_batch: false,
    };
    let answer =
        |request: &IdempotentRequest, _: &Enqueued| answer(request, &caller.tenant, job, now);
    match write_apart(state, caller, &apart, answer).await? {
        Written::Now(_) => Ok(accepted(job.first_state(&caller.tenant, now))),
        Written::Before(response) => Ok(response),
    }
}

/// What a repetition of the request gets, if the job was written at `now`.
fn answer(
    request: &IdempotentRequest,
    tenant: &TenantId,
    job: &NewJob,
    now: DateTime<Utc>,
) -> RecordedAnswer {
    let view = JobView::from(job.first_state(tenant, now));
    request.answer(StatusCode::ACCEPTED, Some(&address(job.id)), json!(view))
}
