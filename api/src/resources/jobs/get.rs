//! `GET /jobs/{id}`, at once or as a long poll.

use axum::{Extension, Json, extract::State, http::HeaderMap};
use serde::Deserialize;
use unity_shared::{
    ids::{JobId, TenantId},
    jobs::Job,
};

use super::{
    find::{read_job, tenant_to_search},
    view::JobView,
};
use crate::{
    auth::Caller,
    error::ApiError,
    extract::{PathId, QueryParameters},
    long_poll::{LongPoll, read_wait},
    news::Subject,
    problem::ProblemBody,
    serve::Closing,
    state::ApiState,
};

/// How to answer.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WaitQuery {
    /// Seconds to wait for the job's end before answering. The answer is the job as it then stands.
    #[param(minimum = 0, maximum = 30, default = 0)]
    wait: Option<u64>,
}

/// Shows a job; with `wait`, answers when it has ended or the wait is over. A wait ends with the API key,
/// within two seconds.
#[utoipa::path(
    get,
    path = "/jobs/{id}",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job."), WaitQuery),
    responses(
        (status = 200, description = "The job.", body = JobView),
        (status = 404, description = "No such job, or not the caller's.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn get_job(
    State(state): State<ApiState>,
    caller: Caller,
    closing: Option<Extension<Closing>>,
    headers: HeaderMap,
    PathId(id): PathId<JobId>,
    QueryParameters(query): QueryParameters<WaitQuery>,
) -> Result<Json<JobView>, ApiError> {
    let wait = read_wait(query.wait)?;
    let tenant = tenant_to_search(&state, &caller, id).await?;
    let job = if wait.is_zero() {
        read_job(&state, &tenant, id).await?
    } else {
        let closing = closing.map(|Extension(closing)| closing);
        let subject = Subject::Job(id);
        let poll = LongPoll::begin(&state, subject, &headers, &caller, closing, wait);
        wait_for_end(&state, &tenant, id, poll).await?
    };
    Ok(Json(job.into()))
}

/// The job when it has ended, or when the wait is over.
async fn wait_for_end(
    state: &ApiState,
    tenant: &TenantId,
    id: JobId,
    mut poll: LongPoll,
) -> Result<Job, ApiError> {
    loop {
        let job = read_job(state, tenant, id).await?;
        if job.status.is_final() || poll.is_over(state).await? {
            return Ok(job);
        }
    }
}
