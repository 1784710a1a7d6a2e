//! Finds the tenant in whose name a job may be read.

use unity_shared::{
    ids::{JobId, TenantId},
    jobs::{Job, LocatedJob, kinds::find_kind, locate_job},
};

use crate::{auth::Caller, error::ApiError, state::ApiState};

/// The tenant to look in: the caller's own, whose rows are all that can be found there; for a system
/// administrator the one that has the job, if it is one of those that the platform carries out for it.
pub async fn tenant_to_search(
    state: &ApiState,
    caller: &Caller,
    id: JobId,
) -> Result<TenantId, ApiError> {
    if let Some(tenant) = &caller.tenant {
        return Ok(tenant.clone());
    }
    let job = locate(state, id).await?;
    // A kind that this binary does not know is some tenant's.
    if find_kind(&job.kind).is_some_and(|kind| kind.of_platform) {
        Ok(job.tenant_id)
    } else {
        Err(ApiError::ActAsRequired)
    }
}

/// As [`tenant_to_search`], for what shows nothing that a job carries: a system administrator may ask of any.
pub async fn tenant_to_look_up(
    state: &ApiState,
    caller: &Caller,
    id: JobId,
) -> Result<TenantId, ApiError> {
    match &caller.tenant {
        Some(tenant) => Ok(tenant.clone()),
        None => Ok(locate(state, id).await?.tenant_id),
    }
}

async fn locate(state: &ApiState, id: JobId) -> Result<LocatedJob, ApiError> {
    let mut tx = state.database().operator().statement().await?;
    locate_job(&mut tx, id).await?.ok_or(ApiError::NotFound)
}

/// The tenant's job of this id, read together with what others ask for now.
pub async fn read_job(state: &ApiState, tenant: &TenantId, id: JobId) -> Result<Job, ApiError> {
    state
        .job_reads()
        .call((tenant.clone(), id))
        .await
        .ok_or_else(|| ApiError::Defect("the reads of jobs have ended".to_owned()))??
        .ok_or(ApiError::NotFound)
}
