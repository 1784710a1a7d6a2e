//! Reads what a request carries. Whatever cannot be read is an [`crate::error::ApiError`].

mod filter;
mod idempotency;
mod if_match;
mod json;
mod no_body;
mod object;
mod optional_json;
mod own_words;
mod path;
mod query;
mod whole;

pub use filter::{check_instant, check_text, has_unusual_year};
pub use idempotency::{Idempotency, IdempotentRequest};
pub use if_match::{IfMatch, etag};
pub use json::JsonBody;
pub use no_body::NoBody;
pub use object::Object;
pub use optional_json::OptionalJson;
pub use path::{PathId, PathIds, PoolName};
pub use query::{NoParameters, QueryParameters};
pub use whole::{whole, whole_or_null, whole_stated, wholes_by_name, with_plain_numbers};
