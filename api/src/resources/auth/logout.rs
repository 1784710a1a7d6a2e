//! `POST /auth/logout`.

use axum::{extract::State, http::StatusCode};
use serde_json::json;
use unity_shared::{
    audit::{Action, AuditedObject, Deed, record_in},
    sessions::{EndReason, end_session},
};

use crate::{
    audit::By,
    auth::{Caller, PersonCaller},
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
    caller: Caller,
    PersonCaller { session, .. }: PersonCaller,
    By(author): By,
    NoParameters: NoParameters,
    NoBody: NoBody,
) -> Result<StatusCode, ApiError> {
    let now = state.clock().now();
    let mut tx = state.database().issuer().begin().await?;
    end_session(&mut tx, session, EndReason::Logout, now).await?;
    let deed = Deed::done(
        Action::SESSION_END,
        AuditedObject::one("session", session),
        json!({ "reason": EndReason::Logout.as_str() }),
    );
    record_in(&mut tx, &author, caller.tenant.as_ref(), &deed, now).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
