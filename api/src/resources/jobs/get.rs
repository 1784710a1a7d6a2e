//! `GET /jobs/{id}`, at once or as a long poll.

use std::time::Duration;

use axum::{Extension, Json, extract::State, http::HeaderMap};
use serde::Deserialize;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use unity_shared::{
    ids::{JobId, TenantId},
    jobs::Job,
};

use super::{
    find::{read_job, tenant_to_search},
    view::JobView,
};
use crate::{
    auth::{Caller, Credentials},
    error::ApiError,
    extract::{PathId, QueryParameters},
    news::Subject,
    problem::ProblemBody,
    serve::Closing,
    state::ApiState,
};

const LONGEST_WAIT_SECONDS: u64 = 30;
/// A message that there is news can be lost; then the job is seen this much later.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How often it is asked whether the caller would still be let in. With a second for which an answer
/// may be remembered, a poll outlives its key, or its tenant's suspension, by less than two.
const CHECK: Duration = Duration::from_millis(500);

/// How to answer.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WaitQuery {
    /// Seconds to wait for the job's end before answering. The answer is the job as it then stands.
    #[param(minimum = 0, maximum = 30, default = 0)]
    wait: Option<u64>,
}

/// Shows a job; with `wait`, answers when it has ended or the wait is over.
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
    headers: HeaderMap,
    closing: Option<Extension<Closing>>,
    PathId(id): PathId<JobId>,
    QueryParameters(query): QueryParameters<WaitQuery>,
) -> Result<Json<JobView>, ApiError> {
    let wait = query.wait.unwrap_or(0);
    if wait > LONGEST_WAIT_SECONDS {
        return Err(ApiError::Query(format!(
            "wait must be from 0 to {LONGEST_WAIT_SECONDS}"
        )));
    }
    let tenant = tenant_to_search(&state, &caller, id).await?;
    let job = if wait == 0 {
        read_job(&state, &tenant, id).await?
    } else {
        let over = wait_is_over(Duration::from_secs(wait), closing.map(|Extension(c)| c));
        let credentials = Credentials::of(&headers, &caller);
        tokio::select! {
            job = wait_for_end(&state, &tenant, id, over) => job?,
            refusal = refusal(&state, &credentials) => return Err(refusal),
        }
    };
    Ok(Json(job.into()))
}

/// Returns when the time is up or the server begins to stop.
async fn wait_is_over(wait: Duration, closing: Option<Closing>) {
    let end = Instant::now() + wait;
    match closing {
        Some(Closing(token)) => {
            tokio::select! {
                () = sleep_until(end) => {}
                () = token.cancelled() => {}
            }
        }
        None => sleep_until(end).await,
    }
}

/// Returns when the caller would not be let in any more. A database that is away is no refusal.
async fn refusal(state: &ApiState, credentials: &Credentials) -> ApiError {
    loop {
        sleep(CHECK).await;
        match credentials.check(state).await {
            Ok(()) | Err(ApiError::Database(_)) => {}
            Err(refusal) => return refusal,
        }
    }
}

/// The job when it has ended, or when `over` returns. It listens before it looks, so an end between
/// the two is not missed, and holds no connection while it waits.
async fn wait_for_end(
    state: &ApiState,
    tenant: &TenantId,
    id: JobId,
    over: impl Future<Output = ()>,
) -> Result<Job, ApiError> {
    let mut news = state.watch(Subject::Job(id));
    let mut over = std::pin::pin!(over);
    loop {
        let job = read_job(state, tenant, id).await?;
        if job.status.is_final() {
            return Ok(job);
        }
        tokio::select! {
            () = &mut over => return Ok(job),
            _ = timeout(LOOK_AGAIN, news.changed()) => {}
        }
    }
}
