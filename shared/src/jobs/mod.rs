//! Jobs: what they are, which kinds there are, and every statement that moves one.
//!
//! ```text
//! scheduled ──due──▶ queued ──claim──▶ running ──finish──▶ succeeded | failed | cancelled
//!                      ▲                  │
//!                      ├──── due ── retrying ◀── error that may pass
//!                      └──────────────────┴── worker crashed, or handed the job back
//! ```
//!
//! A job exists when its row is committed. Whoever moves it names the status it expects, and whoever
//! writes back from an attempt also names the attempt's fence, so a late writer changes nothing.
//! An attempt runs at least once: a worker that dies after the work and before the write-back leaves
//! a job that another runs again.

mod claim;
mod due;
mod enqueue;
mod finish;
mod job;
mod kind;
pub mod kinds;
mod lease;
mod read;
mod rescue;
mod retry;
mod scan;

pub use claim::{Claim, ClaimedJob, claim_jobs};
pub use due::queue_due_jobs;
pub use enqueue::{
    NewJob, NewJobError, enqueue_as_operator, enqueue_for_active_tenants, enqueue_job,
};
pub use finish::{Finish, Verdict, finish_jobs};
pub use job::{Attempt, AttemptOutcome, Job, JobFailure, JobProgress, JobStatus};
pub use kind::{JobKind, KindSpec, PayloadError};
pub use lease::{LeaseKey, Report, record_progress, renew_leases};
pub use read::{JobFilter, find_job, list_attempts, list_jobs, locate_job};
pub use rescue::{Rescued, rescue_expired_leases};
pub use retry::RetryPolicy;
pub use scan::{raise_gate_epoch, select_queued_page, select_running, select_running_page};
