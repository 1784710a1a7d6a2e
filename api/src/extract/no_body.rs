//! A request that has nothing to say in its body.

use axum::extract::{FromRequest, Request};

use super::OptionalJson;
use crate::error::ApiError;

/// The route takes no body: none, or an empty JSON object as some clients send it. Anything else is
/// refused, since it was meant to say something.
#[derive(Debug)]
pub struct NoBody;

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// More than this says something.
const LIMIT_BYTES: usize = 1024;

impl<S: Send + Sync> FromRequest<S> for NoBody {
    type Rejection = ApiError;

    async fn from_request(req: Request, state: &S) -> Result<Self, ApiError> {
        let OptionalJson {
            value: Nothing {}, ..
        } = OptionalJson::<Nothing, LIMIT_BYTES>::from_request(req, state).await?;
        Ok(Self)
    }
}
