//! Reads what a request carries. Whatever cannot be read is an [`crate::error::ApiError`].

mod idempotency;
mod json;
mod path;
mod query;

pub use idempotency::{Idempotency, IdempotentRequest};
pub use json::JsonBody;
pub use path::PathId;
pub use query::{NoParameters, QueryParameters};
