//! `GET /jobs/{id}/why`.

use axum::{Json, extract::State};
use serde::Serialize;
use unity_shared::{
    ids::{JobId, TenantId},
    jobs::{Job, JobStatus, find_job, find_runner, list_own_switches},
    queue::Standing,
    telemetry::chain,
};

use super::{find::tenant_to_search, reason::Reason};
use crate::{
    auth::Caller,
    error::ApiError,
    extract::{NoParameters, PathId},
    problem::ProblemBody,
    state::ApiState,
};

/// Why a job is where it is.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct JobWhy {
    /// The job.
    job_id: JobId,
    /// Where it is in its life.
    status: JobStatus,
    /// Whether it waits for something.
    waiting: bool,
    /// What for; for a job that does not wait, what it does instead. At least one.
    reasons: Vec<Reason>,
    /// What comes before it; null unless it stands in the queue.
    #[schema(required)]
    ahead: Option<Ahead>,
}

/// What comes before a waiting job.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Ahead {
    /// Jobs of its tenant, in the same queue.
    jobs: u64,
    /// Tenants whose turn is before its own; null while its tenant may not run.
    #[schema(required)]
    tenants: Option<u64>,
}

/// Says why a job does not run, by the very rule that admission obeys.
#[utoipa::path(
    get,
    path = "/jobs/{id}/why",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job.")),
    responses(
        (status = 200, description = "What the job waits for.", body = JobWhy),
        (status = 404, description = "No such job, or not the caller's.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn why_job(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<JobId>,
    NoParameters: NoParameters,
) -> Result<Json<JobWhy>, ApiError> {
    let tenant = tenant_to_search(&state, &caller, id).await?;
    let job = read(&state, &tenant, id).await?;
    if job.status != JobStatus::Queued {
        return Ok(Json(explain_by_row(&state, job).await?));
    }
    let standing = state.gate().why(id).await;
    // It may have begun while the gate was asked; then the gate's answer is old.
    let job = read(&state, &tenant, id).await?;
    if job.status != JobStatus::Queued {
        return Ok(Json(explain_by_row(&state, job).await?));
    }
    let standing = match standing {
        Ok(standing) => standing,
        Err(error) => {
            tracing::warn!(error = chain(&error), "could not ask why a job waits");
            return Ok(Json(JobWhy::of(
                &job,
                vec![Reason::gate_unreachable()],
                None,
            )));
        }
    };
    let mut tx = state.database().tenant(&tenant).await?;
    let switches = list_own_switches(&mut tx, state.clock().now()).await?;
    let reasons = Reason::of_queued(&job, &standing, &switches);
    Ok(Json(JobWhy::of(&job, reasons, ahead(&standing))))
}

async fn read(state: &ApiState, tenant: &TenantId, id: JobId) -> Result<Job, ApiError> {
    let mut tx = state.database().tenant(tenant).await?;
    find_job(&mut tx, id).await?.ok_or(ApiError::NotFound)
}

/// Of a job that the gate knows nothing of, because it does not stand in the queue.
async fn explain_by_row(state: &ApiState, job: Job) -> Result<JobWhy, ApiError> {
    let reason = match job.status {
        JobStatus::Scheduled => Reason::not_due(&job),
        JobStatus::Retrying => Reason::retry_wait(&job),
        JobStatus::Running => {
            let mut tx = state.database().tenant(&job.tenant_id).await?;
            match find_runner(&mut tx, job.id).await? {
                Some(runner) => Reason::running(runner),
                // It has ended, or begins anew: whoever asks again is told.
                None => return Err(ApiError::Busy),
            }
        }
        JobStatus::Queued => return Err(ApiError::Busy),
        JobStatus::Succeeded | JobStatus::Failed | JobStatus::Cancelled | JobStatus::Superseded => {
            Reason::ended(&job)
        }
    };
    Ok(JobWhy::of(&job, vec![reason], None))
}

fn ahead(standing: &Standing) -> Option<Ahead> {
    standing.jobs_ahead.map(|jobs| Ahead {
        jobs,
        tenants: standing.tenants_ahead,
    })
}

impl JobWhy {
    fn of(job: &Job, reasons: Vec<Reason>, ahead: Option<Ahead>) -> Self {
        Self {
            job_id: job.id,
            status: job.status,
            waiting: match job.status {
                JobStatus::Scheduled | JobStatus::Queued | JobStatus::Retrying => true,
                JobStatus::Running
                | JobStatus::Succeeded
                | JobStatus::Failed
                | JobStatus::Cancelled
                | JobStatus::Superseded => false,
            },
            reasons,
            ahead,
        }
    }
}
