//! A job as the API shows it.

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use unity_shared::{ids::JobId, jobs::Job};

use super::repeat::LOOK_AFTER;

/// A job and where to go from it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct JobView {
    #[serde(flatten)]
    job: Job,
    /// Addresses of what belongs to it.
    links: JobLinks,
}

/// Addresses of what belongs to a job.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct JobLinks {
    /// The job itself.
    #[serde(rename = "self")]
    this: String,
    /// What happens to it, as it happens.
    events: String,
    /// Its attempts.
    attempts: String,
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        let this = address(job.id);
        let events = format!("{this}/events");
        let attempts = format!("{this}/attempts");
        Self {
            job,
            links: JobLinks {
                this,
                events,
                attempts,
            },
        }
    }
}

impl JobView {
    /// The job's id.
    pub const fn id(&self) -> JobId {
        self.job.id
    }
}

/// The answer to an order that concerns a job: it is taken, and this is where to look.
pub fn accepted(job: Job) -> Response {
    let location = [(header::LOCATION, address(job.id))];
    let look_after = [(header::RETRY_AFTER, LOOK_AFTER)];
    let body = Json(JobView::from(job));
    (StatusCode::ACCEPTED, location, look_after, body).into_response()
}

/// Where a job is found.
pub fn address(id: JobId) -> String {
    format!("/api/v1/jobs/{id}")
}
