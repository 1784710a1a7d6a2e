//! `POST /jobs:retry`.

use axum::{extract::State, http::StatusCode, response::Response};
use serde_json::json;
use unity_shared::{
    audit::{Action, Author, record},
    ids::{JobId, TenantId},
    jobs::{Choice, JobStatus, choose_to_revive, revive_jobs},
};

use super::{
    bulk::{BulkDone, BulkOrder, answer, told, within_limit},
    repeat::{find_before, keep, or_before},
    retry::tell_gate,
};
use crate::{
    audit::By,
    auth::TenantCaller,
    enqueue::why_drained,
    error::ApiError,
    extract::{Idempotency, IdempotentRequest, JsonBody, NoParameters},
    problem::ProblemBody,
    state::ApiState,
};

/// The states of a job that can be tried again.
const POSSIBLE: [JobStatus; 3] = [JobStatus::Failed, JobStatus::Cancelled, JobStatus::Retrying];

/// Tries those of the tenant's jobs again that match and failed, were cancelled, or wait for their next
/// attempt, oldest first.
#[utoipa::path(
    post,
    path = "/jobs:retry",
    tag = "jobs",
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters.")),
    request_body = BulkOrder,
    responses(
        (status = 202, description = "Queued again.", body = BulkDone,
         headers(("Retry-After" = u32, description = "Seconds until looking makes sense."))),
        (status = 409, description = "A switch takes one of them not in.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 422, description = "Values that cannot be accepted.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 429, description = "So many more jobs may not wait.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn retry_jobs(
    State(state): State<ApiState>,
    caller: TenantCaller,
    By(author): By,
    NoParameters: NoParameters,
    idempotency: Idempotency,
    JsonBody { value: order, raw }: JsonBody<BulkOrder>,
) -> Result<Response, ApiError> {
    let choice = order.accept(&POSSIBLE)?;
    let request = idempotency.request(&raw);
    let (ids, more) = match choose(&state, &caller.tenant, &choice, request.as_ref()).await? {
        Ok(chosen) => chosen,
        Err(before) => return Ok(before),
    };
    match revive(
        &state,
        &author,
        &caller.tenant,
        (&ids, more),
        request.as_ref(),
    )
    .await
    {
        Ok(done) => Ok(answer(&done)),
        Err(error) => or_before(&state, &caller.tenant, request.as_ref(), error).await,
    }
}

/// The jobs and whether there are more, or the answer from before.
async fn choose(
    state: &ApiState,
    tenant: &TenantId,
    choice: &Choice,
    request: Option<&IdempotentRequest>,
) -> Result<Result<(Vec<JobId>, bool), Response>, ApiError> {
    let mut tx = state.database().tenant(tenant).await?;
    if let Some(before) = find_before(&mut tx, request).await? {
        return Ok(Err(before));
    }
    let (chosen, more) = within_limit(choice, choose_to_revive(&mut tx, choice).await?);
    let kinds = chosen.iter().map(|job| job.kind.as_str());
    if !chosen.is_empty()
        && let Some(drained) = why_drained(state, &mut tx, kinds).await?
    {
        return Err(drained);
    }
    Ok(Ok((chosen.iter().map(|job| job.id).collect(), more)))
}

/// Tries them again and tells the gate.
async fn revive(
    state: &ApiState,
    author: &Author,
    tenant: &TenantId,
    (ids, more): (&[JobId], bool),
    request: Option<&IdempotentRequest>,
) -> Result<BulkDone, ApiError> {
    let now = state.clock().now();
    let count = u32::try_from(ids.len()).unwrap_or(u32::MAX);
    let places = state.waiting_caps().take(state, tenant, count).await?;
    let turn = places.turn().await;
    let mut tx = state.database().tenant(tenant).await?;
    places.lock(&mut tx).await?;
    let offers = revive_jobs(&mut tx, ids, now).await?;
    let done = BulkDone {
        count: offers.len(),
        more,
    };
    if !offers.is_empty() {
        places.check(&mut tx).await?;
    }
    let kept =
        |request: &IdempotentRequest| request.answer(StatusCode::ACCEPTED, None, json!(done));
    keep(&mut tx, request, kept, now).await?;
    let deed = told(Action::JOBS_RETRY, offers.iter().map(|offer| offer.id));
    record(&mut tx, author, &deed, now).await?;
    tx.commit().await?;
    drop(turn);
    tell_gate(state, tenant, &offers).await;
    places.settle();
    Ok(done)
}
