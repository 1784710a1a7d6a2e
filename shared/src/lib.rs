//! What at least two of Unity's processes must agree on.
//!
//! The API answers requests, the worker runs jobs, the scheduler runs loops. This crate holds the
//! nouns they share: tenants, jobs and their events, the queue that decides what runs next, the
//! database sessions that keep tenants apart. A module comes here only when two crates need it,
//! under a noun of the domain.

pub mod audit;
pub mod batch;
pub mod clock;
pub mod config;
pub mod db;
pub mod events;
pub mod fleet;
pub mod ids;
pub mod jobs;
pub mod people;
pub mod queue;
pub mod sessions;
pub mod telemetry;
pub mod tenancy;
