//! A request that has nothing to say in its body.

use axum::extract::{FromRequest, Request};
use http_body_util::BodyExt;

use super::JsonBody;
use crate::error::ApiError;

/// The route takes no body: none, or an empty JSON object as some clients send it. Anything else is
/// refused, since it was meant to say something.
#[derive(Debug)]
pub struct NoBody;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// More than this says something.
const LIMIT_BYTES: usize = 1024;

impl<S: Send + Sync> FromRequest<S> for NoBody {
    type Rejection = ApiError;

    async fn from_request(req: Request, state: &S) -> Result<Self, ApiError> {
        let (parts, mut body) = req.into_parts();
        // The first frame decides: an empty body has none.
        let first = match body.frame().await {
            None => return Ok(Self),
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(_)) => axum::body::Bytes::new(),
        };
        let chunks = futures::stream::iter([Ok::<_, axum::Error>(first)]);
        let rest = futures::StreamExt::chain(chunks, body.into_data_stream());
        let req = Request::from_parts(parts, axum::body::Body::from_stream(rest));
        let JsonBody {
            value: Nothing {}, ..
        } = JsonBody::<Nothing, LIMIT_BYTES>::from_request(req, state).await?;
        Ok(Self)
    }
}
