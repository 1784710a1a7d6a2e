//! Every route, every refusal, the published contract.

pub mod contract;
mod fuzz;
mod idempotency;
pub mod operations;
mod ops;
mod preconditions;
mod rate_limits;
mod refusals;
pub mod roles;
mod tokens;
