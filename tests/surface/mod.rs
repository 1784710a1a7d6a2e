//! Every route, every refusal, the published contract.

mod contract;
mod idempotency;
pub mod operations;
mod ops;
mod rate_limits;
mod refusals;
pub mod roles;
mod tokens;
