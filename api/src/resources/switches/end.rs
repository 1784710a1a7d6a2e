//! `DELETE /switches/{id}`.

use axum::{extract::State, http::StatusCode};
use serde_json::json;
use unity_shared::{
    audit::{Action, AuditedObject, Deed, record_for_platform},
    ids::SwitchId,
    jobs,
};

use super::tell_gate;
use crate::{
    audit::By,
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
    By(author): By,
    PathId(id): PathId<SwitchId>,
    NoParameters: NoParameters,
) -> Result<StatusCode, ApiError> {
    let now = state.clock().now();
    let mut tx = state.database().operator().begin().await?;
    let scope = jobs::end_switch(&mut tx, id, now)
        .await?
        .ok_or(ApiError::NotFound)?;
    let deed = Deed::done(
        Action::SWITCH_END,
        AuditedObject::one("switch", id),
        json!({ "scope": scope }),
    );
    record_for_platform(&mut tx, &author, scope.tenant.as_ref(), &deed, now).await?;
    tx.commit().await?;
    tell_gate(&state).await;
    Ok(StatusCode::NO_CONTENT)
}
