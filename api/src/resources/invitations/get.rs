//! `GET /tenants/{id}/invitations/{invitation}`.

use axum::{Json, extract::State};
use unity_shared::{
    ids::{InvitationId, TenantId},
    people::{Invitation, find_invitation},
};

use crate::{
    auth::Caller,
    error::ApiError,
    extract::{NoParameters, PathIds},
    problem::ProblemBody,
    state::ApiState,
};

/// Shows an invitation.
#[utoipa::path(
    get,
    path = "/tenants/{id}/invitations/{invitation}",
    tag = "members",
    params(
        ("id" = TenantId, Path, description = "The tenant's slug."),
        ("invitation" = InvitationId, Path, description = "The invitation."),
    ),
    responses(
        (status = 200, description = "The invitation.", body = Invitation),
        (status = 404, description = "No such tenant or invitation, or not the caller's.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn get_invitation(
    State(state): State<ApiState>,
    caller: Caller,
    PathIds(tenant, id): PathIds<TenantId, InvitationId>,
    NoParameters: NoParameters,
) -> Result<Json<Invitation>, ApiError> {
    caller.must_be_of(&tenant)?;
    let mut tx = state.database().tenant(&tenant).await?;
    let invitation = find_invitation(&mut tx, id, state.clock().now()).await?;
    invitation.map(Json).ok_or(ApiError::NotFound)
}
