//! `GET /jobs/{id}/attempts`.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::Serialize;
use unity_shared::{
    ids::{JobId, WorkerId},
    jobs::{self, Attempt, AttemptOutcome, JobFailure},
};

use super::find::tenant_to_search;
use crate::{
    auth::Caller,
    error::ApiError,
    extract::{NoParameters, PathId},
    problem::ProblemBody,
    resources::page::Page,
    state::ApiState,
};

/// One attempt of a job.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Attempt)]
pub struct AttemptView {
    /// 1 for the first. An attempt that did not count shares its number with the next.
    number: i32,
    /// The worker process that ran it.
    worker: WorkerId,
    /// When it was claimed.
    started_at: DateTime<Utc>,
    /// When it ended; null while it runs.
    #[schema(required)]
    finished_at: Option<DateTime<Utc>>,
    /// What became of it; null while it runs.
    #[schema(required)]
    outcome: Option<AttemptOutcome>,
    /// Why it failed; null if it did not.
    #[schema(required)]
    error: Option<JobFailure>,
}

/// Lists a job's attempts, first to last.
#[utoipa::path(
    get,
    path = "/jobs/{id}/attempts",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job.")),
    responses(
        (status = 200, description = "All attempts.", body = Page<AttemptView>),
        (status = 404, description = "No such job, or not the caller's.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn list_job_attempts(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<JobId>,
    NoParameters: NoParameters,
) -> Result<Json<Page<AttemptView>>, ApiError> {
    let tenant = tenant_to_search(&state, &caller, id).await?;
    let mut tx = state.database().tenant(&tenant).await?;
    let attempts = jobs::list_attempts(&mut tx, id).await?;
    if attempts.is_empty() {
        // None yet, or no such job at all.
        jobs::find_job(&mut tx, id)
            .await?
            .ok_or(ApiError::NotFound)?;
    }
    Ok(Json(Page::whole(
        attempts.into_iter().map(AttemptView::from).collect(),
    )))
}

impl From<Attempt> for AttemptView {
    fn from(attempt: Attempt) -> Self {
        let Attempt {
            number,
            worker_id,
            started_at,
            finished_at,
            outcome,
            error,
        } = attempt;
        Self {
            number,
            worker: worker_id,
            started_at,
            finished_at,
            outcome,
            error,
        }
    }
}
