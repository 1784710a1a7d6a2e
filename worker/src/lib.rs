//! Workers: processes that carry jobs out.
//!
//! `runtime` is the way of one job through a worker, `jobs` has one file for each kind, and
//! `handler` is what the two share.

pub mod handler;
pub mod jobs;
mod runtime;

pub use runtime::{
    Assignment, AssignmentError, Worker, WorkerError, WorkerOptions, WorkerServices,
};
