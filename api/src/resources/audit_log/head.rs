//! `GET /audit-log/head`.

use axum::{Json, extract::State};
use serde::Deserialize;
use unity_shared::audit::ChainHead;

use super::Log;
use crate::{
    auth::Caller, error::ApiError, extract::QueryParameters, problem::ProblemBody, state::ApiState,
};

/// Which log.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HeadQuery {
    /// A tenant's log, for a system administrator; absent = the caller's own, or the platform's.
    tenant: Option<String>,
}

/// Shows the last entry of a log. Kept elsewhere, its hash tells later whether entries before it
/// were changed or taken away.
#[utoipa::path(
    get,
    path = "/audit-log/head",
    tag = "audit",
    params(HeadQuery),
    responses(
        (status = 200, description = "The last entry's place and hash.", body = ChainHead),
        (status = 404, description = "Not the caller's log.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn get_audit_log_head(
    State(state): State<ApiState>,
    caller: Caller,
    QueryParameters(query): QueryParameters<HeadQuery>,
) -> Result<Json<ChainHead>, ApiError> {
    let log = Log::of(&caller, query.tenant.as_deref())?;
    Ok(Json(log.head(&state).await?))
}
