//! `GET /job-kinds`.

use std::time::Duration;

use axum::{Json, extract::State};
use serde::Serialize;
use serde_json::Value;
use unity_shared::{
    jobs::{KindSpec, RetryPolicy},
    tenancy::Role,
};

use crate::{extract::NoParameters, resources::page::Page, state::ApiState};

/// A kind of job.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct JobKindView {
    /// Its stable name.
    name: &'static str,
    /// The queue that its jobs wait in.
    queue: &'static str,
    /// JSON schema of the payload.
    #[schema(value_type = Object)]
    payload_schema: Value,
    /// How often and when it is tried again.
    retry_policy: RetryPolicyView,
    /// Longest time of one attempt, in seconds, unless the job says otherwise.
    timeout_seconds: u64,
    /// The least role that may start it.
    start_role: Role,
    /// The resource key of a job that states none; null = no bond.
    #[schema(required)]
    default_resource_key: Option<&'static str>,
}

/// How often and when a job is tried again. Waits double from the base up to the cap.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RetryPolicyView {
    /// Most attempts, unless the job says otherwise.
    max_attempts: i32,
    /// Wait after the first failure, in milliseconds.
    base_ms: u64,
    /// Longest wait, in milliseconds.
    cap_ms: u64,
    /// Share by which a wait is lengthened or shortened at random, 0 to 1.
    jitter: f64,
}

/// Lists the kinds of jobs that this server takes.
#[utoipa::path(
    get,
    path = "/job-kinds",
    tag = "jobs",
    responses((status = 200, description = "All kinds.", body = Page<JobKindView>)),
)]
pub async fn list_job_kinds(
    State(state): State<ApiState>,
    NoParameters: NoParameters,
) -> Json<Page<JobKindView>> {
    Json(Page::whole(state.kinds().map(JobKindView::from).collect()))
}

impl From<&KindSpec> for JobKindView {
    fn from(kind: &KindSpec) -> Self {
        let RetryPolicy {
            max_attempts,
            base,
            cap,
            jitter,
        } = kind.retry;
        Self {
            name: kind.name,
            queue: kind.queue,
            payload_schema: kind.payload_schema(),
            retry_policy: RetryPolicyView {
                max_attempts,
                base_ms: milliseconds(base),
                cap_ms: milliseconds(cap),
                jitter,
            },
            timeout_seconds: kind.timeout.as_secs(),
            start_role: kind.start_role,
            default_resource_key: kind.default_resource_key,
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use unity_shared::jobs::kinds::KINDS;

    use super::*;

    #[test]
    fn every_kind_is_shown_as_programs_know_it() {
        let views: Vec<JobKindView> = KINDS.iter().map(JobKindView::from).collect();
        insta::assert_json_snapshot!(views);
    }
}
