//! Workers: processes that carry jobs out.
//!
//! `runtime` is the way of one job through a worker, `jobs` has one file for each kind, and
//! `handler` is what the two share. `mail` is how mails leave.

pub mod handler;
pub mod jobs;
mod mail;
mod runtime;

pub use mail::{MailSettings, MailSettingsError, Mailer};
pub use runtime::{
    Assignment, AssignmentError, Worker, WorkerError, WorkerOptions, WorkerServices,
};
