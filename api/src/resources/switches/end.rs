//! `DELETE /switches/{id}`.

use axum::{extract::State, http::StatusCode};
use unity_shared::{ids::SwitchId, jobs};

use super::tell_gate;
use crate::{
    error::ApiError,
    extract::{NoParameters, PathId},
    problem::ProblemBody,
    state::ApiState,
};

/// Takes a switch off. What it held back goes on at once.
#[utoipa::path(
    delete,
    path = "/switches/{id}",
    tag = "operations",
    params(("id" = SwitchId, Path, description = "The switch.")),
    responses(
        (status = 204, description = "It is off."),
        (status = 404, description = "No such switch, or it has gone off.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn end_switch(
    State(state): State<ApiState>,
    PathId(id): PathId<SwitchId>,
    NoParameters: NoParameters,
) -> Result<StatusCode, ApiError> {
    let mut tx = state.database().operator().statement().await?;
    let was_on = jobs::end_switch(&mut tx, id, state.clock().now()).await?;
    drop(tx);
    if !was_on {
        return Err(ApiError::NotFound);
    }
    tell_gate(&state).await;
    Ok(StatusCode::NO_CONTENT)
}
