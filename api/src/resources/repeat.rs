//! Requests of the platform that come again: they are answered as the first was.

use axum::response::Response;
use unity_shared::{db::DbError, tenancy::find_platform_answer};

use crate::{error::ApiError, extract::IdempotentRequest, state::ApiState};

/// The answer of the same request before, if there was one.
pub async fn find_before(
    state: &ApiState,
    request: Option<&IdempotentRequest>,
) -> Result<Option<Response>, ApiError> {
    let Some(request) = request else {
        return Ok(None);
    };
    let mut tx = state.database().operator().statement().await?;
    let recorded = find_platform_answer(&mut tx, &request.key).await?;
    recorded
        .map(|recorded| request.replay(recorded))
        .transpose()
}

/// What to answer when a statement failed: an equal request may have been first, then as that was.
pub async fn after_failure(
    state: &ApiState,
    request: Option<&IdempotentRequest>,
    error: DbError,
) -> Result<Response, ApiError> {
    if IdempotentRequest::lost_race(&error)
        && let Some(before) = find_before(state, request).await?
    {
        return Ok(before);
    }
    Err(error.into())
}
