//! `DELETE /tenants/{id}/members/{user}`.

use axum::{extract::State, http::StatusCode};
use serde_json::json;
use unity_shared::{
    audit::{Action, AuditedObject, Deed, record_in_tenant},
    ids::{TenantId, UserId},
    people,
};

use super::view::refusal;
use crate::{
    audit::By,
    auth::Caller,
    error::ApiError,
    extract::{IfMatch, NoParameters, PathIds},
    problem::ProblemBody,
    resources::refuse_gone,
    state::ApiState,
};

/// Ends a membership. The person is let into this tenant no more within two seconds, and stays what
/// they are elsewhere. Their sessions there, the API keys that they made and the invitations that they sent
/// end with it, and do not come back with them. A tenant's last administrator cannot go.
#[utoipa::path(
    delete,
    path = "/tenants/{id}/members/{user}",
    tag = "members",
    params(
        ("id" = TenantId, Path, description = "The tenant's slug."),
        ("user" = UserId, Path, description = "The member."),
        ("If-Match" = Option<String>, Header, description = "Remove this version and no other."),
    ),
    responses(
        (status = 204, description = "No member any more."),
        (status = 404, description = "No such tenant or member, or not the caller's.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 409, description = "The last administrator who can log in, or the tenant is deleted.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 412, description = "Another version than If-Match says.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn remove_member(
    State(state): State<ApiState>,
    caller: Caller,
    By(author): By,
    PathIds(tenant, user): PathIds<TenantId, UserId>,
    NoParameters: NoParameters,
    if_match: IfMatch,
) -> Result<StatusCode, ApiError> {
    caller.must_be_of(&tenant)?;
    let now = state.clock().now();
    refuse_gone(&mut state.database().tenant(&tenant).await?).await?;
    let mut tx = state.database().registrar().begin().await?;
    let meant = |version| if_match.check(version).is_ok();
    let departure = people::remove_member(&mut tx, &tenant, user, meant, now)
        .await?
        .map_err(refusal)?;
    let deed = Deed::done(
        Action::MEMBER_REMOVE,
        AuditedObject::one("user", user),
        json!(departure),
    );
    record_in_tenant(&mut tx, &author, &tenant, &deed, now).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
