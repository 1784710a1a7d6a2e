//! Every route, every refusal, the published contract.

mod contract;
mod idempotency;
pub mod operations;
mod ops;
mod refusals;
pub mod roles;
mod tokens;
