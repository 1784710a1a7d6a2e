//! `GET /tenants/{id}/members/{user}`.

use axum::{extract::State, response::Response};
use unity_shared::{
    ids::{TenantId, UserId},
    people::Member,
};

use super::view::show;
use crate::{
    auth::Caller,
    error::ApiError,
    extract::{NoParameters, PathIds},
    problem::ProblemBody,
    state::ApiState,
};

/// Shows a member.
#[utoipa::path(
    get,
    path = "/tenants/{id}/members/{user}",
    tag = "members",
    params(
        ("id" = TenantId, Path, description = "The tenant's slug."),
        ("user" = UserId, Path, description = "The member."),
    ),
    responses(
        (status = 200, description = "The member.", body = Member,
         headers(("ETag" = String, description = "Strong; changes with every change of the membership."))),
        (status = 404, description = "No such tenant or member, or not the caller's.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn get_member(
    State(state): State<ApiState>,
    caller: Caller,
    PathIds(tenant, user): PathIds<TenantId, UserId>,
    NoParameters: NoParameters,
) -> Result<Response, ApiError> {
    caller.must_be_of(&tenant)?;
    show(&state, &tenant, user).await
}
