//! `PATCH /tenants/{id}/members/{user}`.

use axum::{extract::State, response::Response};
use serde::Deserialize;
use serde_json::json;
use unity_shared::{
    audit::{Action, AuditedObject, Deed, record_in_tenant},
    ids::{TenantId, UserId},
    people::{Member, change_role},
    tenancy::Role,
};

use super::view::{refusal, show};
use crate::{
    audit::By,
    auth::Caller,
    error::ApiError,
    extract::{IfMatch, JsonBody, NoParameters, PathIds},
    problem::ProblemBody,
    resources::refuse_gone,
    state::ApiState,
    violations::Violations,
};

/// What of a membership is to be changed.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberPatch {
    /// What the member may do from now on; absent = as it is. The short forms are taken too.
    role: Option<Role>,
}

/// Gives a member another role. It holds within two seconds, also for who is logged in. A tenant's last
/// administrator stays one. Invitations that they sent to a role above their new one are revoked.
#[utoipa::path(
    patch,
    path = "/tenants/{id}/members/{user}",
    tag = "members",
    params(
        ("id" = TenantId, Path, description = "The tenant's slug."),
        ("user" = UserId, Path, description = "The member."),
        ("If-Match" = Option<String>, Header, description = "Change this version and no other."),
    ),
    request_body = MemberPatch,
    responses(
        (status = 200, description = "The member as it is now.", body = Member,
         headers(("ETag" = String, description = "Strong; changes with every change of the membership."))),
        (status = 404, description = "No such tenant or member, or not the caller's.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 409, description = "The last administrator who can log in, or the tenant is deleted.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 412, description = "Another version than If-Match says.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 422, description = "Values that cannot be accepted.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn change_member(
    State(state): State<ApiState>,
    caller: Caller,
    By(author): By,
    PathIds(tenant, user): PathIds<TenantId, UserId>,
    NoParameters: NoParameters,
    if_match: IfMatch,
    JsonBody { value: patch, .. }: JsonBody<MemberPatch>,
) -> Result<Response, ApiError> {
    caller.must_be_of(&tenant)?;
    if patch.role == Some(Role::SystemAdmin) {
        let mut violations = Violations::default();
        violations.add("/role", "range", "must be a role of a tenant");
        violations.finish()?;
    }
    if let Some(role) = patch.role {
        let now = state.clock().now();
        refuse_gone(&mut state.database().tenant(&tenant).await?).await?;
        let mut tx = state.database().registrar().begin().await?;
        let meant = |version| if_match.check(version).is_ok();
        let revoked = change_role(&mut tx, &tenant, (user, role), meant, now)
            .await?
            .map_err(refusal)?;
        let deed = Deed::done(
            Action::MEMBER_UPDATE,
            AuditedObject::one("user", user),
            json!({ "role": role, "invitations_revoked": revoked }),
        );
        record_in_tenant(&mut tx, &author, &tenant, &deed, now).await?;
        tx.commit().await?;
    }
    show(&state, &tenant, user).await
}
