//! `GET /switches`.

use axum::{Json, extract::State};
use unity_shared::jobs::Switch;

use super::switches_on;
use crate::{error::ApiError, extract::NoParameters, resources::page::Page, state::ApiState};

/// Lists every switch that is on, oldest first.
#[utoipa::path(
    get,
    path = "/switches",
    tag = "operations",
    responses((status = 200, description = "All switches that are on.", body = Page<Switch>)),
)]
pub async fn list_switches(
    State(state): State<ApiState>,
    NoParameters: NoParameters,
) -> Result<Json<Page<Switch>>, ApiError> {
    Ok(Json(Page::whole(switches_on(&state).await?)))
}
