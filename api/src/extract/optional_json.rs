//! A body that may be left out.

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request},
};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use super::JsonBody;
use crate::error::ApiError;

/// A body of type `T`, or none at all, which says as much as an empty object.
#[derive(Debug)]
pub struct OptionalJson<T, const LIMIT: usize = LIMIT_BYTES> {
    /// What was sent.
    pub value: T,
    /// As it was sent; empty if nothing was.
    pub raw: Bytes,
}

/// Who leaves most of it out has little to say.
const LIMIT_BYTES: usize = 16 * 1024;

impl<T: DeserializeOwned + Default, S: Send + Sync, const LIMIT: usize> FromRequest<S>
    for OptionalJson<T, LIMIT>
{
    type Rejection = ApiError;

    async fn from_request(req: Request, state: &S) -> Result<Self, ApiError> {
        let (parts, mut body) = req.into_parts();
        // The first frame decides: an empty body has none.
        let first = match body.frame().await {
            None => {
                return Ok(Self {
                    value: T::default(),
                    raw: Bytes::new(),
                });
            }
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(_)) => Bytes::new(),
        };
        let chunks = futures::stream::iter([Ok::<_, axum::Error>(first)]);
        let rest = futures::StreamExt::chain(chunks, body.into_data_stream());
        let req = Request::from_parts(parts, Body::from_stream(rest));
        let JsonBody { value, raw } = JsonBody::<T, LIMIT>::from_request(req, state).await?;
        Ok(Self { value, raw })
    }
}
