//! A job and its attempts, as the API shows them and the rows keep them.

use super::JsonText;
use crate::ids::{JobId, RequestId, TenantId, WorkerId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Where a job is in its life.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum JobStatus {
    /// Its time has not come. The scheduler moves it to `queued`.
    Scheduled,
    /// It waits for a slot of its tenant or a worker.
    Queued,
    /// A worker holds its lease.
    Running,
    /// An attempt failed; it waits for the next. The scheduler moves it to `queued`.
    Retrying,
    /// Final: an attempt succeeded.
    Succeeded,
    /// Final, the dead-letter state: out of attempts, or an error that no retry can mend.
    Failed,
    /// Final: somebody cancelled it.
    Cancelled,
    /// Final: a newer job with the same resource key took its place.
    Superseded,
}

impl JobStatus {
    /// Whether nothing will happen to the job any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Scheduled | Self::Queued | Self::Running | Self::Retrying => false,
            Self::Succeeded | Self::Failed | Self::Cancelled | Self::Superseded => true,
        }
    }

    /// The status as the API and the database write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
        }
    }
}

/// A status as a statement must ask for it that looks a batch of rows up by their keys: as a parameter. A
/// constant would let the partial index of all rows in that status take part, and where the statistics
/// take these for few, PostgreSQL walks them all and compares each with the whole batch.
pub(super) const fn by_key(status: JobStatus) -> &'static str {
    status.as_str()
}

/// Why an attempt, or the whole job, failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct JobFailure {
    /// Stable, `dot.case`, for programs.
    pub code: String,
    /// For people. Written by us: never a stack trace, a statement or another tenant's name.
    pub message: String,
    /// Whether another attempt might succeed.
    pub retryable: bool,
}

/// How far a running job is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct JobProgress {
    /// 0 to 100.
    #[schema(minimum = 0, maximum = 100)]
    pub percent: u8,
    /// What is being done.
    pub message: String,
}

/// One job.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Job {
    /// The job's id, the same over all its attempts.
    pub id: JobId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// What is to be done.
    pub kind: String,
    /// Where it is in its life.
    pub status: JobStatus,
    /// The queue that its kind belongs to.
    pub queue: String,
    /// 0 (last) to 9 (first) among the tenant's waiting jobs.
    pub priority: i16,
    /// Attempts begun so far, crashes included.
    pub attempt: i32,
    /// Most attempts.
    pub max_attempts: i32,
    /// What the kind's handler was asked to do.
    #[schema(value_type = Object)]
    pub payload: JsonText,
    /// What the handler answered; null until the job succeeded.
    #[schema(value_type = Option<Value>, required)]
    pub result: Option<JsonText>,
    /// The last attempt's error; null if there was none, or the job succeeded after it.
    #[schema(required)]
    pub error: Option<JobFailure>,
    /// Last report of the handler; null if it made none.
    #[schema(required)]
    pub progress: Option<JobProgress>,
    /// At most one job of a tenant with the same key runs at a time; null = no such bond.
    #[schema(required)]
    pub resource_key: Option<String>,
    /// Free labels.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub labels: JsonText,
    /// Longest time one attempt may take, in seconds.
    pub timeout_seconds: i32,
    /// It does not start before this instant: as asked for, or the next attempt's.
    pub run_at: DateTime<Utc>,
    /// When its row was written.
    pub created_at: DateTime<Utc>,
    /// When its first attempt began; null before.
    #[schema(required)]
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended; null while it may still run.
    #[schema(required)]
    pub finished_at: Option<DateTime<Utc>>,
    /// It fails as `expired` if its first attempt has not begun by then; null = never.
    #[schema(required)]
    pub expires_at: Option<DateTime<Utc>>,
    /// How far its cancellation is; null if nobody asked for it.
    #[schema(required)]
    pub cancellation: Option<Cancellation>,
    /// The request that asked for it; null when a schedule did.
    #[serde(skip)]
    pub request_id: Option<RequestId>,
}

/// How far the cancellation of a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Cancellation {
    /// When somebody asked for it.
    pub requested_at: DateTime<Utc>,
    /// When the job's worker learnt of it and told the handler; null while it has not, or where no
    /// worker had the job.
    #[schema(required)]
    pub delivered_at: Option<DateTime<Utc>>,
    /// When the job stopped; null while its attempt still runs.
    #[schema(required)]
    pub stopped_at: Option<DateTime<Utc>>,
}

/// What became of an attempt.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// It did the work.
    Succeeded,
    /// It ended the job with an error.
    Failed,
    /// It failed and another attempt follows.
    Retried,
    /// Its worker vanished: the lease ran out.
    Crashed,
    /// Its worker stopped and gave the job back; the attempt does not count.
    HandedBack,
    /// The job was cancelled meanwhile.
    Cancelled,
    /// The handler asked to run later; the attempt does not count.
    Snoozed,
}

impl AttemptOutcome {
    /// Its name in the API, in the record and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Retried => "retried",
            Self::Crashed => "crashed",
            Self::HandedBack => "handed_back",
            Self::Cancelled => "cancelled",
            Self::Snoozed => "snoozed",
        }
    }
}

/// One attempt of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Attempt {
    /// 1 for the first. An attempt that did not count shares its number with the next.
    pub number: i32,
    /// The worker process that ran it.
    pub worker_id: WorkerId,
    /// When it was claimed.
    pub started_at: DateTime<Utc>,
    /// When it ended; null while it runs.
    pub finished_at: Option<DateTime<Utc>>,
    /// What became of it; null while it runs.
    pub outcome: Option<AttemptOutcome>,
    /// Why it failed; null if it did not.
    pub error: Option<JobFailure>,
}
