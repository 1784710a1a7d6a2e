//! `POST /jobs/{id}/cancel`.

use axum::{extract::State, http::StatusCode, response::Response};
use serde_json::json;
use unity_shared::{
    audit::{Action, AuditedObject, Author, Deed, record},
    ids::{JobId, TenantId},
    jobs::{Job, JobStatus, cancel_jobs, find_job},
};

use super::{
    find::tenant_to_search,
    repeat::{find_before, keep, or_before},
    view::{JobView, accepted, address},
};
use crate::{
    audit::By,
    auth::Caller,
    enqueue::try_briefly,
    error::ApiError,
    extract::{Idempotency, IdempotentRequest, NoBody, NoParameters, PathId},
    problem::ProblemBody,
    state::ApiState,
};

/// Cancels a job. One that waits has ended with the answer; one that runs is told to end, and the
/// answer's `cancellation` says how far that is.
#[utoipa::path(
    post,
    path = "/jobs/{id}/cancel",
    tag = "jobs",
    params(
        ("id" = JobId, Path, description = "The job."),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters."),
    ),
    responses(
        (status = 202, description = "Asked for, also if it was before.", body = JobView,
         headers(
            ("Location" = String, description = "Where to look how it is doing."),
            ("Retry-After" = u32, description = "Seconds until looking makes sense."),
         )),
        (status = 404, description = "No such job, or not the caller's.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 409, description = "The job has ended; `job_status` says how.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn cancel_job(
    State(state): State<ApiState>,
    caller: Caller,
    By(author): By,
    PathId(id): PathId<JobId>,
    NoParameters: NoParameters,
    idempotency: Idempotency,
    NoBody: NoBody,
) -> Result<Response, ApiError> {
    let tenant = tenant_to_search(&state, &caller, id).await?;
    // The route is the same for every job, so the request is told apart by the job too.
    let request = idempotency.request(id.to_string().as_bytes());
    match cancel(&state, &author, &tenant, id, request.as_ref()).await {
        Ok(Ok(job)) => {
            tell_gate(&state, &tenant, &[(id, job.status)]).await;
            Ok(accepted(job))
        }
        Ok(Err(before)) => Ok(before),
        Err(error) => or_before(&state, &tenant, request.as_ref(), error).await,
    }
}

/// The job as it is now, or the answer from before.
async fn cancel(
    state: &ApiState,
    author: &Author,
    tenant: &TenantId,
    id: JobId,
    request: Option<&IdempotentRequest>,
) -> Result<Result<Job, Response>, ApiError> {
    let now = state.clock().now();
    let mut tx = state.database().tenant(tenant).await?;
    if let Some(before) = find_before(&mut tx, request).await? {
        return Ok(Err(before));
    }
    let concerned = cancel_jobs(&mut tx, &[id], now).await?;
    let job = find_job(&mut tx, id).await?.ok_or(ApiError::NotFound)?;
    if concerned.is_empty() {
        // An equal request may have been first, a moment ago.
        let before = find_before(&mut tx, request).await?;
        return before.map(Err).ok_or(ApiError::JobState {
            status: job.status,
            action: "cancelled",
        });
    }
    let answer = |request: &IdempotentRequest| {
        let view = json!(JobView::from(job.clone()));
        request.answer(StatusCode::ACCEPTED, Some(&address(id)), view)
    };
    keep(&mut tx, request, answer, now).await?;
    let deed = Deed::done(
        Action::JOB_CANCEL,
        AuditedObject::one("job", id),
        json!({ "kind": job.kind, "status": job.status }),
    );
    record(&mut tx, author, &deed, now).await?;
    tx.commit().await?;
    Ok(Ok(job))
}

/// Tells the gate of jobs that were cancelled, with their status now: what waited is forgotten, what
/// runs is ended by its worker, and whoever follows one of them looks.
pub async fn tell_gate(state: &ApiState, tenant: &TenantId, jobs: &[(JobId, JobStatus)]) {
    let (running, ended): (Vec<_>, Vec<_>) = jobs
        .iter()
        .partition(|(_, status)| *status == JobStatus::Running);
    let ids = |jobs: Vec<(JobId, JobStatus)>| -> Vec<JobId> {
        jobs.into_iter().map(|(id, _)| id).collect()
    };
    let (running, ended) = (ids(running), ids(ended));
    let gate = state.gate();
    if !ended.is_empty() {
        try_briefly("forget jobs", gate.forget(&ended)).await;
    }
    if !running.is_empty() {
        try_briefly("tell workers to end jobs", gate.cancel(&running)).await;
    }
    let all: Vec<JobId> = jobs.iter().map(|(id, _)| *id).collect();
    try_briefly("tell of cancelled jobs", gate.tell_of(tenant, &all)).await;
}
