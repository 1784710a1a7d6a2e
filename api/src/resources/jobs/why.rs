//! `GET /jobs/{id}/why`.

use axum::{Json, extract::State};
use serde::Serialize;
use unity_shared::{
    ids::{JobId, TenantId},
    jobs::{Job, JobStatus, find_job, find_runner, list_own_switches},
    queue::Standing,
    telemetry::chain,
    tenancy::find_tenant,
};

use super::{find::tenant_to_look_up, reason::Reason};
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

/// A job that moves on while it is looked at is looked at again, so often at most.
const LOOKS: u32 = 5;

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
    let tenant = tenant_to_look_up(&state, &caller, id).await?;
    for _ in 0..LOOKS {
        if let Some(why) = look(&state, &tenant, id).await? {
            return Ok(Json(why));
        }
    }
    Err(ApiError::Busy)
}

/// The answer; `None` if the job moved on while it was being found.
async fn look(state: &ApiState, tenant: &TenantId, id: JobId) -> Result<Option<JobWhy>, ApiError> {
    let job = read(state, tenant, id).await?;
    let reason = match job.status {
        JobStatus::Queued => return look_in_gate(state, job).await,
        JobStatus::Running => {
            let mut tx = state.database().tenant(tenant).await?;
            match find_runner(&mut tx, id).await? {
                Some(runner) => Reason::running(runner),
                None => return Ok(None),
            }
        }
        JobStatus::Scheduled => Reason::not_due(&job),
        JobStatus::Retrying => Reason::retry_wait(&job),
        JobStatus::Succeeded | JobStatus::Failed | JobStatus::Cancelled | JobStatus::Superseded => {
            Reason::ended(&job)
        }
    };
    Ok(Some(JobWhy::of(&job, vec![reason], None)))
}

/// Of a queued job, as the gate has it.
async fn look_in_gate(state: &ApiState, job: Job) -> Result<Option<JobWhy>, ApiError> {
    let standing = state.gate().why(job.id).await;
    // It may have begun while the gate was asked; then the gate's answer is old.
    let job = read(state, &job.tenant_id, job.id).await?;
    if job.status != JobStatus::Queued {
        return Ok(None);
    }
    let mut tx = state.database().tenant(&job.tenant_id).await?;
    let tenant = find_tenant(&mut tx).await?.ok_or(ApiError::NotFound)?;
    if let Some(held) = Reason::of_tenant(tenant.status) {
        let ahead = standing.ok().as_ref().and_then(ahead);
        return Ok(Some(JobWhy::of(&job, vec![held], ahead)));
    }
    let standing = match standing {
        Ok(standing) => standing,
        Err(error) => {
            tracing::warn!(error = chain(&error), "could not ask why a job waits");
            return Ok(Some(JobWhy::of(
                &job,
                vec![Reason::gate_unreachable()],
                None,
            )));
        }
    };
    let switches = list_own_switches(&mut tx, state.clock().now()).await?;
    let reasons = Reason::of_queued(&job, &standing, &switches);
    Ok(Some(JobWhy::of(&job, reasons, ahead(&standing))))
}

async fn read(state: &ApiState, tenant: &TenantId, id: JobId) -> Result<Job, ApiError> {
    let mut tx = state.database().tenant(tenant).await?;
    find_job(&mut tx, id).await?.ok_or(ApiError::NotFound)
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
