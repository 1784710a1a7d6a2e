//! `POST /jobs:batch`.

use std::sync::Arc;

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
    audit::Author,
    ids::{JobId, RequestId},
    jobs::{Enqueued, JobStatus, NewJob},
};

use super::{
    order::JobOrder,
    repeat::{LOOK_AFTER, or_before, repeat},
    write::{Apart, Written, write_apart, write_together},
};
use crate::{
    audit::By,
    auth::TenantCaller,
    enqueue::{Fate, Keep},
    error::ApiError,
    extract::{Idempotency, IdempotentRequest, JsonBody, NoParameters, Object},
    middleware::CurrentRequestId,
    problem::ProblemBody,
    state::ApiState,
    violations::{MOST_TOLD, Violations},
};

/// Most jobs of one request.
const MOST: usize = 1000;
/// A thousand jobs of eight kilobytes each. Payloads may have eight times as much, but a body is held in
/// memory as a whole, and a batch is one transaction: who has larger payloads sends fewer at once.
const BODY_LIMIT_BYTES: usize = 8 * 1024 * 1024;

/// Jobs to be enqueued together.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchOrder {
    /// 1 to 1000 jobs. All are enqueued, or none.
    #[schema(value_type = Vec<JobOrder>, min_items = 1, max_items = 1000)]
    jobs: Vec<Object<JobOrder>>,
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
    /// `queued`; `scheduled` if its time has not come; `superseded` if a later one of the batch took its
    /// place.
    status: JobStatus,
}

/// Enqueues 1 to 1000 jobs of the caller's tenant: all of them or none. The body has at most 8 MiB, so
/// that jobs with large payloads are sent in smaller batches.
#[utoipa::path(
    post,
    path = "/jobs:batch",
    tag = "jobs",
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters.")),
    request_body = BatchOrder,
    responses(
        (status = 202, description = "Committed: each job will be run at least once.", body = BatchCreated,
         headers(("Retry-After" = u32, description = "Seconds until looking makes sense."))),
        (status = 403, description = "The caller may not start one of them; `pointer` names it.",
         body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "A switch takes one of them not in; `pointer` names it.",
         body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "A body over 8 MiB, or a payload over 64 KiB; `pointer` names it.",
         body = ProblemBody, content_type = "application/problem+json"),
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
    let request = idempotency.request(&raw);
    let orderer = Orderer {
        caller: &caller,
        author: &author,
        request_id,
    };
    match create(&state, &orderer, order, request.as_ref()).await {
        Ok(response) => Ok(response),
        Err(refusal) => or_before(&state, &caller.tenant, request.as_ref(), refusal).await,
    }
}

/// Who orders jobs.
struct Orderer<'a> {
    caller: &'a TenantCaller,
    author: &'a Arc<Author>,
    request_id: RequestId,
}

async fn create(
    state: &ApiState,
    orderer: &Orderer<'_>,
    order: BatchOrder,
    request: Option<&IdempotentRequest>,
) -> Result<Response, ApiError> {
    let Orderer {
        caller,
        author,
        request_id,
    } = *orderer;
    let now = state.clock().now();
    let jobs: Arc<[NewJob]> = accept(state, caller, order, request_id, now)?.into();
    let keep = request.map(|request| {
        let (request, jobs) = (request.clone(), Arc::clone(&jobs));
        Keep {
            key: request.key.clone(),
            answer: Box::new(move |now| {
                let created = created(&jobs, &Enqueued::default(), now);
                request.answer(StatusCode::ACCEPTED, None, json!(created))
            }),
        }
    });
    match write_together(state, caller, author, &jobs, keep).await? {
        Some(Fate::At(now)) => return Ok(accepted(&created(&jobs, &Enqueued::default(), now))),
        Some(Fate::Repeated) => return repeat(state, &caller.tenant, request).await,
        // Written apart it turns out which of them is not taken in.
        Some(Fate::LeftOut | Fate::Full(_)) | None => {}
    }
    let answer = |request: &IdempotentRequest, enqueued: &Enqueued| {
        request.answer(
            StatusCode::ACCEPTED,
            None,
            json!(created(&jobs, enqueued, now)),
        )
    };
    let apart = Apart {
        jobs: &jobs,
        author,
        request,
        now,
        is_batch: true,
    };
    match write_apart(state, caller, &apart, answer).await? {
        Written::Now(enqueued) => Ok(accepted(&created(&jobs, &enqueued, now))),
        Written::Before(response) => Ok(response),
    }
}

fn accepted(created: &BatchCreated) -> Response {
    let look_after = [(header::RETRY_AFTER, LOOK_AFTER)];
    (StatusCode::ACCEPTED, look_after, Json(created)).into_response()
}

fn created(jobs: &[NewJob], enqueued: &Enqueued, now: DateTime<Utc>) -> BatchCreated {
    let items = jobs.iter().map(|job| BatchItem {
        id: job.id,
        status: enqueued.status_of(job, now),
    });
    BatchCreated {
        items: items.collect(),
    }
}

/// Every job as it will be written, or what is wrong with all of them, each fault under its place in the
/// body. What the caller may not start goes before what is too large, and that before other faults.
fn accept(
    state: &ApiState,
    caller: &TenantCaller,
    order: BatchOrder,
    request_id: RequestId,
    now: DateTime<Utc>,
) -> Result<Vec<NewJob>, ApiError> {
    if !(1..=MOST).contains(&order.jobs.len()) {
        let mut violations = Violations::default();
        violations.add("/jobs", "count", &format!("must be 1 to {MOST} jobs"));
        violations.finish()?;
    }
    let mut jobs = Vec::with_capacity(order.jobs.len());
    let (mut forbidden, mut too_large, mut faults) = (None, None, Vec::new());
    for (place, Object(job)) in order.jobs.into_iter().enumerate() {
        match job.accept(state, caller.role, request_id, now) {
            Ok(job) => jobs.push(job),
            Err(error @ ApiError::RoleInsufficient(_)) => {
                forbidden.get_or_insert(error.of_job(place));
            }
            Err(error @ ApiError::PayloadTooLarge(_)) => {
                too_large.get_or_insert(error.of_job(place));
            }
            Err(error) if faults.len() < MOST_TOLD => {
                faults.extend(error.of_job(place).errors());
            }
            Err(_) => {}
        }
    }
    faults.truncate(MOST_TOLD);
    match forbidden.or(too_large) {
        Some(refusal) => Err(refusal),
        None if faults.is_empty() => Ok(jobs),
        None => Err(ApiError::Invalid(faults)),
    }
}
