//! `POST /jobs/{id}/retry`.

use axum::{extract::State, http::StatusCode, response::Response};
use serde_json::json;
use unity_shared::{
    audit::{Action, AuditedObject, Author, Deed, record},
    ids::{JobId, TenantId},
    jobs::{Job, JobStatus, find_job, revive_jobs},
    queue::Offer,
};

use super::{
    find::tenant_to_search,
    repeat::{find_before, keep, or_before},
    view::{JobView, accepted, address},
};
use crate::{
    audit::By,
    auth::Caller,
    enqueue::{Places, try_briefly, why_drained},
    error::ApiError,
    extract::{Idempotency, IdempotentRequest, NoBody, NoParameters, PathId},
    problem::ProblemBody,
    state::ApiState,
};

/// Tries a job again that failed, was cancelled, or waits for its next attempt. It keeps its id and its
/// attempts; one that is out of attempts gets one more.
#[utoipa::path(
    post,
    path = "/jobs/{id}/retry",
    tag = "jobs",
    params(
        ("id" = JobId, Path, description = "The job."),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters."),
    ),
    responses(
        (status = 202, description = "Queued again.", body = JobView,
         headers(
            ("Location" = String, description = "Where to look how it is doing."),
            ("Retry-After" = u32, description = "Seconds until looking makes sense."),
         )),
        (status = 404, description = "No such job, or not the caller's.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 409, description = "The job's state, `job_status`, or a switch forbids it.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 429, description = "As many jobs wait as may.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn retry_job(
    State(state): State<ApiState>,
    caller: Caller,
    By(author): By,
    PathId(id): PathId<JobId>,
    NoParameters: NoParameters,
    idempotency: Idempotency,
    NoBody: NoBody,
) -> Result<Response, ApiError> {
    let tenant = tenant_to_search(&state, &caller, id).await?;
    let request = idempotency.request(id.to_string().as_bytes());
    if let Some(before) = look(&state, &tenant, id, request.as_ref()).await? {
        return Ok(before);
    }
    let result = match state.waiting_caps().take(&state, &tenant, 1).await {
        Ok(places) => revive(&state, &author, (&tenant, id), places, request.as_ref()).await,
        Err(refusal) => Err(refusal),
    };
    match result {
        Ok(Ok(job)) => Ok(accepted(job)),
        Ok(Err(before)) => Ok(before),
        Err(error) => or_before(&state, &tenant, request.as_ref(), error).await,
    }
}

/// The answer from before, or nothing if the job can be tried again.
async fn look(
    state: &ApiState,
    tenant: &TenantId,
    id: JobId,
    request: Option<&IdempotentRequest>,
) -> Result<Option<Response>, ApiError> {
    let mut tx = state.database().tenant(tenant).await?;
    if let Some(before) = find_before(&mut tx, request).await? {
        return Ok(Some(before));
    }
    let job = find_job(&mut tx, id).await?.ok_or(ApiError::NotFound)?;
    match job.status {
        JobStatus::Failed | JobStatus::Cancelled | JobStatus::Retrying => {}
        JobStatus::Scheduled
        | JobStatus::Queued
        | JobStatus::Running
        | JobStatus::Succeeded
        | JobStatus::Superseded => return Err(forbidden(job.status)),
    }
    match why_drained(state, &mut tx, [job.kind.as_str()]).await? {
        Some(drained) => Err(drained),
        None => Ok(None),
    }
}

/// The job as it is now, or the answer from before. The gate has been told.
async fn revive(
    state: &ApiState,
    author: &Author,
    (tenant, id): (&TenantId, JobId),
    places: Places,
    request: Option<&IdempotentRequest>,
) -> Result<Result<Job, Response>, ApiError> {
    let now = state.clock().now();
    let turn = places.turn().await;
    let mut tx = state.database().tenant(tenant).await?;
    places.lock(&mut tx).await?;
    let offers = revive_jobs(&mut tx, &[id], now).await?;
    let job = find_job(&mut tx, id).await?.ok_or(ApiError::NotFound)?;
    if offers.is_empty() {
        // It has moved on since it was looked at; an equal request may have been first.
        let before = find_before(&mut tx, request).await?;
        return before.map(Err).ok_or(forbidden(job.status));
    }
    let answer = |request: &IdempotentRequest| {
        let view = json!(JobView::from(job.clone()));
        request.answer(StatusCode::ACCEPTED, Some(&address(id)), view)
    };
    places.check(&mut tx).await?;
    keep(&mut tx, request, answer, now).await?;
    let deed = Deed::done(
        Action::JOB_RETRY,
        AuditedObject::one("job", id),
        json!({ "kind": job.kind, "status": job.status }),
    );
    record(&mut tx, author, &deed, now).await?;
    tx.commit().await?;
    drop(turn);
    tell_gate(state, tenant, &offers).await;
    places.settle();
    Ok(Ok(job))
}

const fn forbidden(status: JobStatus) -> ApiError {
    ApiError::JobState {
        status,
        action: "tried again",
    }
}

/// Offers the jobs to the gate, and tells whoever follows them.
pub async fn tell_gate(state: &ApiState, tenant: &TenantId, offers: &[Offer]) {
    let gate = state.gate();
    try_briefly("offer jobs", gate.offer(offers)).await;
    let ids: Vec<JobId> = offers.iter().map(|offer| offer.id).collect();
    try_briefly(
        "tell of jobs that are tried again",
        gate.tell_of(tenant, &ids),
    )
    .await;
}
