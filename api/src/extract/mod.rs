//! Reads what a request carries. Whatever cannot be read is an [`crate::error::ApiError`].

mod idempotency;
mod json;
mod no_body;
mod path;
mod query;

pub use idempotency::{Idempotency, IdempotentRequest};
pub use json::JsonBody;
pub use no_body::NoBody;
pub use path::{PathId, PathIds, PoolName};
pub use query::{NoParameters, QueryParameters};
