//! Gives every request an id of our own; one that a client sends is not trusted.

use axum::{
    extract::{FromRequestParts, Request},
    http::{HeaderName, HeaderValue, request::Parts},
    response::Response,
};
use unity_shared::ids::RequestId;

use crate::error::ApiError;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The id of the request being answered.
#[derive(Debug, Clone, Copy)]
pub struct CurrentRequestId(pub RequestId);

pub async fn give_id<F: Future<Output = Response>>(
    mut req: Request,
    next: impl FnOnce(Request) -> F,
) -> Response {
    let id = RequestId::new();
    req.extensions_mut().insert(CurrentRequestId(id));
    let mut response = next(req).await;
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

impl<S: Send + Sync> FromRequestParts<S> for CurrentRequestId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts
            .extensions
            .get::<Self>()
            .copied()
            .ok_or_else(|| ApiError::Defect("a request has no id".to_owned()))
    }
}
