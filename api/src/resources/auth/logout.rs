//! `POST /auth/logout`.

use axum::{extract::State, http::StatusCode};
use unity_shared::sessions::{EndReason, end_session};

use crate::{
    auth::PersonCaller,
    error::ApiError,
    extract::{NoBody, NoParameters},
    state::ApiState,
};

/// Ends the session. Its access token is refused within two seconds, its refresh token at once.
#[utoipa::path(
    post,
    path = "/auth/logout",
    tag = "auth",
    responses((status = 204, description = "Logged out.")),
)]
pub async fn log_out(
    State(state): State<ApiState>,
    PersonCaller { session, .. }: PersonCaller,
    NoParameters: NoParameters,
    NoBody: NoBody,
) -> Result<StatusCode, ApiError> {
    let mut tx = state.database().issuer().statement().await?;
    end_session(&mut tx, session, EndReason::Logout, state.clock().now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
