//! `DELETE /tenants/{id}/invitations/{invitation}`.

use axum::{extract::State, http::StatusCode};
use serde_json::json;
use unity_shared::{
    audit::{Action, AuditedObject, Deed, record},
    ids::{InvitationId, TenantId},
    people::{self, InvitationState, find_invitation},
};

use crate::{
    audit::By,
    auth::Caller,
    error::ApiError,
    extract::{NoParameters, PathIds},
    problem::ProblemBody,
    resources::refuse_gone,
    state::ApiState,
};

/// Takes an invitation back: nobody can accept it any more. The invitation stays in the list.
#[utoipa::path(
    delete,
    path = "/tenants/{id}/invitations/{invitation}",
    tag = "members",
    params(
        ("id" = TenantId, Path, description = "The tenant's slug."),
        ("invitation" = InvitationId, Path, description = "The invitation."),
    ),
    responses(
        (status = 204, description = "Revoked, also if it was before."),
        (status = 404, description = "No such tenant or invitation, or not the caller's.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 409, description = "It was accepted, or its time is over, or the tenant is deleted.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn revoke_invitation(
    State(state): State<ApiState>,
    caller: Caller,
    By(author): By,
    PathIds(tenant, id): PathIds<TenantId, InvitationId>,
    NoParameters: NoParameters,
) -> Result<StatusCode, ApiError> {
    caller.must_be_of(&tenant)?;
    let now = state.clock().now();
    let mut tx = state.database().tenant(&tenant).await?;
    refuse_gone(&mut tx).await?;
    if people::revoke_invitation(&mut tx, id, now).await? {
        let deed = Deed::done(
            Action::INVITATION_REVOKE,
            AuditedObject::one("invitation", id),
            json!({}),
        );
        record(&mut tx, &author, &deed, now).await?;
        tx.commit().await?;
        return Ok(StatusCode::NO_CONTENT);
    }
    match find_invitation(&mut tx, id, now).await? {
        None => Err(ApiError::NotFound),
        Some(found) if found.status == InvitationState::Revoked => Ok(StatusCode::NO_CONTENT),
        Some(found) => Err(not_pending(found.status)),
    }
}

/// The refusal of what only a pending invitation allows.
pub fn not_pending(status: InvitationState) -> ApiError {
    ApiError::Conflict {
        code: "invitation.state",
        detail: format!("the invitation is {}, no longer pending", status.as_str()),
    }
}
