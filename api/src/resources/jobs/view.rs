//! A job as the API shows it.

use serde::Serialize;
use unity_shared::{ids::JobId, jobs::Job};

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

/// Where a job is found.
pub fn address(id: JobId) -> String {
    format!("/api/v1/jobs/{id}")
}
