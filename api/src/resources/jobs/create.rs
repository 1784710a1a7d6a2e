//! `POST /jobs`.

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde_json::json;
use unity_shared::{
    db::{DbError, TenantTx},
    jobs::{NewJob, enqueue_job},
    tenancy::{
        JobLimits, RecordedAnswer, TenantStatus, find_tenant, find_tenant_answer,
        insert_tenant_answer,
    },
};

use super::{
    order::JobOrder,
    view::{JobView, address},
};
use crate::{
    auth::{TenantCaller, why_refused},
    error::ApiError,
    extract::{Idempotency, IdempotentRequest, JsonBody, NoParameters},
    middleware::CurrentRequestId,
    offer::offer_job,
    problem::ProblemBody,
    state::ApiState,
};

/// When a client should first look how its job is doing, in seconds.
const LOOK_AFTER: HeaderValue = HeaderValue::from_static("1");

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
        (status = 422, description = "Values that cannot be accepted.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn create_job(
    State(state): State<ApiState>,
    caller: TenantCaller,
    CurrentRequestId(request_id): CurrentRequestId,
    NoParameters: NoParameters,
    idempotency: Idempotency,
    JsonBody { value: order, raw }: JsonBody<JobOrder>,
) -> Result<Response, ApiError> {
    let kind = state
        .kinds()
        .find(|kind| kind.name == order.kind)
        .ok_or(ApiError::KindUnknown)?;
    if caller.role < kind.start_role {
        return Err(ApiError::RoleInsufficient(kind.start_role));
    }
    let now = state.clock().now();
    let job = order.accept(kind, request_id, now)?;
    let repeatable = idempotency.request(&raw);
    let written = match write(&state, &caller, &job, repeatable.as_ref(), now).await {
        Err(ApiError::Database(error)) => {
            after_lost_race(&state, &caller, repeatable.as_ref(), error).await?
        }
        other => other?,
    };
    match written {
        Written::New(limits) => {
            offer_job(&state, &caller.tenant, limits, &job, now).await;
            let view = JobView::from(job.first_state(&caller.tenant, now));
            let location = [(header::LOCATION, address(job.id))];
            let look_after = [(header::RETRY_AFTER, LOOK_AFTER)];
            // As a value, so that a replay has the same bytes.
            Ok((
                StatusCode::ACCEPTED,
                location,
                look_after,
                Json(json!(view)),
            )
                .into_response())
        }
        Written::Before(response) => Ok(response),
    }
}

/// What became of the order.
enum Written {
    /// The job was written; the tenant's limits are for the gate.
    New(JobLimits),
    /// The same request came before and this is its answer.
    Before(Response),
}

async fn write(
    state: &ApiState,
    caller: &TenantCaller,
    job: &NewJob,
    request: Option<&IdempotentRequest>,
    now: DateTime<Utc>,
) -> Result<Written, ApiError> {
    let mut tx = state.database().tenant(&caller.tenant).await?;
    if let Some(request) = request
        && let Some(recorded) = find_tenant_answer(&mut tx, &request.key).await?
    {
        return replay(request, recorded);
    }
    let tenant = find_tenant(&mut tx)
        .await?
        .ok_or(ApiError::Unauthenticated)?;
    check_in_use(tenant.status)?;
    enqueue_job(&mut tx, job, now).await?;
    if let Some(request) = request {
        keep_answer(&mut tx, request, job, now).await?;
    }
    tx.commit().await?;
    Ok(Written::New(tenant.job_limits))
}

/// The tenant may have been suspended since the caller was let in.
fn check_in_use(status: TenantStatus) -> Result<(), ApiError> {
    match why_refused(status) {
        Some((code, state)) => Err(ApiError::TenantInactive { code, state }),
        None => Ok(()),
    }
}

async fn keep_answer(
    tx: &mut TenantTx,
    request: &IdempotentRequest,
    job: &NewJob,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let view = JobView::from(job.first_state(&tx.tenant().clone(), now));
    let recorded = request.answer(StatusCode::ACCEPTED, &address(job.id), json!(view));
    insert_tenant_answer(tx, &request.key, &recorded, now).await
}

async fn after_lost_race(
    state: &ApiState,
    caller: &TenantCaller,
    request: Option<&IdempotentRequest>,
    error: DbError,
) -> Result<Written, ApiError> {
    let Some(request) = request.filter(|_| IdempotentRequest::lost_race(&error)) else {
        return Err(error.into());
    };
    let mut tx = state.database().tenant(&caller.tenant).await?;
    match find_tenant_answer(&mut tx, &request.key).await? {
        Some(recorded) => replay(request, recorded),
        None => Err(error.into()),
    }
}

fn replay(request: &IdempotentRequest, recorded: RecordedAnswer) -> Result<Written, ApiError> {
    let mut response = request.replay(recorded)?;
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, LOOK_AFTER);
    Ok(Written::Before(response))
}
