//! `POST /jobs:cancel`.

use axum::{extract::State, http::StatusCode, response::Response};
use serde_json::json;
use unity_shared::{
    audit::{Action, Author, record},
    ids::{JobId, TenantId},
    jobs::{self, Choice, JobStatus, choose_to_cancel},
};

use super::{
    bulk::{BulkDone, BulkOrder, answer, told, within_limit},
    cancel::tell_gate,
    repeat::{find_before, keep, or_before},
};
use crate::{
    audit::By,
    auth::TenantCaller,
    error::ApiError,
    extract::{Idempotency, IdempotentRequest, JsonBody, NoParameters},
    problem::ProblemBody,
    state::ApiState,
};

/// The states of a job that has not ended.
const POSSIBLE: [JobStatus; 4] = [
    JobStatus::Scheduled,
    JobStatus::Queued,
    JobStatus::Running,
    JobStatus::Retrying,
];

/// Cancels those of the tenant's jobs that match and have not ended, oldest first. Jobs that somebody
/// has asked to be cancelled already are left out.
#[utoipa::path(
    post,
    path = "/jobs:cancel",
    tag = "jobs",
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters.")),
    request_body = BulkOrder,
    responses(
        (status = 202, description = "Asked for; what waited has ended.", body = BulkDone,
         headers(("Retry-After" = u32, description = "Seconds until looking makes sense."))),
        (status = 422, description = "Values that cannot be accepted.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn cancel_jobs(
    State(state): State<ApiState>,
    caller: TenantCaller,
    By(author): By,
    NoParameters: NoParameters,
    idempotency: Idempotency,
    JsonBody { value: order, raw }: JsonBody<BulkOrder>,
) -> Result<Response, ApiError> {
    let choice = order.accept(&POSSIBLE)?;
    let request = idempotency.request(&raw);
    match cancel(&state, &author, &caller.tenant, &choice, request.as_ref()).await {
        Ok(Ok((concerned, done))) => {
            tell_gate(&state, &caller.tenant, &concerned).await;
            Ok(answer(&done))
        }
        Ok(Err(before)) => Ok(before),
        Err(error) => or_before(&state, &caller.tenant, request.as_ref(), error).await,
    }
}

type Cancelled = (Vec<(JobId, JobStatus)>, BulkDone);

/// What was cancelled, or the answer from before.
async fn cancel(
    state: &ApiState,
    author: &Author,
    tenant: &TenantId,
    choice: &Choice,
    request: Option<&IdempotentRequest>,
) -> Result<Result<Cancelled, Response>, ApiError> {
    let now = state.clock().now();
    let mut tx = state.database().tenant(tenant).await?;
    if let Some(before) = find_before(&mut tx, request).await? {
        return Ok(Err(before));
    }
    let (chosen, more) = within_limit(choice, choose_to_cancel(&mut tx, choice).await?);
    let ids: Vec<JobId> = chosen.iter().map(|job| job.id).collect();
    let concerned = jobs::cancel_jobs(&mut tx, &ids, now).await?;
    let done = BulkDone {
        count: concerned.len(),
        more,
    };
    let kept =
        |request: &IdempotentRequest| request.answer(StatusCode::ACCEPTED, None, json!(done));
    keep(&mut tx, request, kept, now).await?;
    let deed = told(Action::JOBS_CANCEL, concerned.iter().map(|(id, _)| *id));
    record(&mut tx, author, &deed, now).await?;
    tx.commit().await?;
    Ok(Ok((concerned, done)))
}
