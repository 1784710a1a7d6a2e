//! No request holds its connection, and whatever it has borrowed, for ever.

use std::time::Duration;

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};

use crate::error::ApiError;

/// Twice the longest poll. It covers the reading of the body, so a client cannot drip it either.
const LIMIT: Duration = Duration::from_mins(1);

pub async fn limit_time<F: Future<Output = Response>>(
    req: Request,
    next: impl FnOnce(Request) -> F,
) -> Response {
    match tokio::time::timeout(LIMIT, next(req)).await {
        Ok(response) => response,
        Err(_) => ApiError::Timeout.into_response(),
    }
}
