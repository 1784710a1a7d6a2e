//! An event, as every channel shows it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::ids::{JobId, TenantId};

/// Type of the event that a handler's report leaves. Those of a job's other events are
/// `job.{status}`.
pub const JOB_PROGRESS: &str = "job.progress";

/// Something that happened to a job.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Event {
    /// Its number in the tenant's sequence: 1 for the first, without gaps.
    #[serde(rename = "id")]
    #[schema(minimum = 1, example = 42)]
    pub sequence: i64,
    /// What happened: `job.{status}` when an attempt ended and left the job in that status,
    /// `job.progress` when its handler said how far it is.
    #[serde(rename = "type")]
    #[schema(example = "job.succeeded")]
    pub event_type: String,
    /// The job.
    pub job_id: JobId,
    /// Whose job it is.
    pub tenant_id: TenantId,
    /// When it happened.
    pub created_at: DateTime<Utc>,
    /// More, by type. `job.{status}`: `kind`, `status`, `attempt` and `error`. `job.progress`:
    /// `kind`, `percent` and `message`.
    #[schema(value_type = Object)]
    pub data: Value,
}
