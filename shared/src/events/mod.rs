//! Events: what happened to a tenant's jobs, numbered without gaps.
//!
//! Each tenant has one sequence. A number is given in the transaction that makes the change, under
//! the lock of the tenant's counter, so numbers become visible in their order: who has seen event n
//! has missed none before it. Polling, streams and webhooks show the same numbers.

mod event;
mod read;
mod trim;

pub use event::{Event, JOB_PROGRESS};
pub use read::{EventPage, JobEventPage, list_events, list_job_events};
pub use trim::{Retention, Trimmed, trim_events};
