//! What an answer costs at the least, and without the guards: what the real routes' speed is to be seen
//! against. No process of a fleet serves these; `unity bench` does, on a database of its own.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::get,
};
use unity_shared::{
    db::Database,
    ids::{JobId, TenantId},
};

use crate::{
    error::ApiError,
    look_up::{JobReads, start_job_reads_of_nobody},
    middleware::{self, Surroundings},
    resources::JobView,
};

/// A router with one route, `GET /`, that answers with two bytes and does nothing else: no layers, no
/// state, nobody is asked who they are.
pub fn bare_route() -> Router {
    Router::new().route("/", get(async || "ok"))
}

/// A router with one route, `GET /{tenant}/{id}`, that shows a job as `GET /api/v1/jobs/{id}` does: behind
/// the same layers, read together with what others ask for, with the same body. Only the guards are
/// missing: nobody is asked for a key, no call is counted, and the row is read in no tenant's name. Call
/// it inside a tokio runtime.
pub fn unguarded_poll(database: Database) -> Router {
    let reads = start_job_reads_of_nobody(database);
    let router = Router::new().route("/{tenant}/{id}", get(show_job));
    let surroundings = Surroundings {
        proxies: Arc::default(),
        addresses: None,
    };
    middleware::wrap(router.with_state(reads), surroundings)
}

async fn show_job(
    State(reads): State<JobReads>,
    Path((tenant, id)): Path<(String, String)>,
) -> Result<Json<JobView>, ApiError> {
    let tenant: TenantId = tenant.parse().map_err(|_| ApiError::NotFound)?;
    let id: JobId = id.parse().map_err(|_| ApiError::NotFound)?;
    let job = reads.call((tenant, id)).await;
    let job = job.ok_or_else(|| ApiError::Defect("the reads of jobs have ended".to_owned()))??;
    Ok(Json(job.ok_or(ApiError::NotFound)?.into()))
}
