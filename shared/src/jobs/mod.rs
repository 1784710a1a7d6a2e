//! Jobs: what they are, which kinds there are, and every statement that moves one.
//!
//! ```text
//! scheduled ──due──▶ queued ──claim──▶ running ──finish──▶ succeeded | failed | cancelled
//!                      ▲                  │
//!                      ├──── due ── retrying ◀── error that may pass
//!                      └──────────────────┴── worker crashed, or handed the job back
//! ```
//! What waits may also end as `cancelled`, as `failed` (it has expired) or as `superseded` (a newer
//! job took its place); what failed or was cancelled may be queued again by hand.
//!
//! A job exists when its row is committed. Whoever moves it names the status it expects, and whoever
//! writes back from an attempt also names the attempt's fence, so a late writer changes nothing.
//! An attempt runs at least once: a worker that dies after the work and before the write-back leaves
//! a job that another runs again.

mod cancel;
mod choose;
mod claim;
mod due;
mod enqueue;
mod expire;
mod finish;
mod job;
mod json_text;
mod kind;
pub mod kinds;
mod lease;
mod read;
mod rescue;
mod retry;
mod revive;
mod scan;
mod supersede;
mod switch;
mod tally;
mod told_jobs;
mod waiting;

pub use cancel::cancel_jobs;
pub use choose::{Choice, Chosen, choose_to_cancel, choose_to_revive};
pub use claim::{Claim, ClaimedJob, claim_jobs};
pub use due::queue_due_jobs;
pub use enqueue::{
    Enqueued, NewJob, NewJobError, enqueue_as_operator, enqueue_for_active_tenants,
    enqueue_for_tenants, enqueue_jobs,
};
pub use expire::{expire_jobs, select_late_jobs};
pub use finish::{Finish, Verdict, finish_jobs};
pub use job::{Attempt, AttemptOutcome, Cancellation, Job, JobFailure, JobProgress, JobStatus};
pub use json_text::JsonText;
pub use kind::{JobKind, KindSpec, PayloadError};
pub use lease::{LeaseKey, Report, deliver_cancels, record_progress, renew_leases};
pub use read::{
    FoundJob, JobFilter, LocatedJob, Runner, find_job, find_jobs, find_jobs_of_nobody, find_runner,
    list_attempts, list_jobs, locate_job,
};
pub use rescue::{Rescued, rescue_expired_leases, select_expired_leases};
pub use retry::RetryPolicy;
pub use revive::revive_jobs;
pub use scan::{
    IdleJob, raise_gate_epoch, select_gate_epoch, select_idle, select_queued_page, select_running,
    select_running_page,
};
pub use supersede::{supersede_by_due, takes_a_place};
pub use switch::{
    Switch, SwitchAction, SwitchScope, SwitchSet, end_switch, insert_switch, list_own_switches,
    list_switches, select_switches,
};
pub use tally::{RunningTally, tally_running};
pub use told_jobs::{OrderedJobs, tell_of_orders};
pub use waiting::{count_later, count_waiting, count_waiting_of, lock_waiting, lock_waiting_of};
