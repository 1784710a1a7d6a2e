//! `GET /switches/{id}`.

use axum::{Json, extract::State};
use unity_shared::{ids::SwitchId, jobs::Switch};

use super::switches_on;
use crate::{
    error::ApiError,
    extract::{NoParameters, PathId},
    problem::ProblemBody,
    state::ApiState,
};

/// Shows a switch that is on.
#[utoipa::path(
    get,
    path = "/switches/{id}",
    tag = "operations",
    params(("id" = SwitchId, Path, description = "The switch.")),
    responses(
        (status = 200, description = "The switch.", body = Switch),
        (status = 404, description = "No such switch, or it has gone off.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn get_switch(
    State(state): State<ApiState>,
    PathId(id): PathId<SwitchId>,
    NoParameters: NoParameters,
) -> Result<Json<Switch>, ApiError> {
    let mut on = switches_on(&state).await?.into_iter();
    let switch = on.find(|switch| switch.id == id);
    switch.map(Json).ok_or(ApiError::NotFound)
}
