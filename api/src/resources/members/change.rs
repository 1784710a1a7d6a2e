//! `PATCH /tenants/{id}/members/{user}`.

use axum::{extract::State, response::Response};
use serde::Deserialize;
use serde_json::json;
use unity_shared::{
    audit::{Action, AuditedObject, Deed, record_in_tenant},
    ids::{TenantId, UserId},
    people::{Member, change_role, find_member},
    tenancy::Role,
};

use super::view::{refusal, show};
use crate::{
    audit::By,
    auth::Caller,
    error::ApiError,
    extract::{IfMatch, JsonBody, NoParameters, PathIds},
    merge_patch::Stated,
    openapi::TenantRole,
    problem::ProblemBody,
    resources::refuse_gone,
    state::ApiState,
    violations::Violations,
};

/// What of a membership is to be changed, as a JSON merge patch (RFC 7396).
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberPatch {
    /// What the member may do from now on; absent = as it is. The short forms are taken too.
    #[serde(default)]
    #[schema(value_type = TenantRole, required = false)]
    role: Stated<Role>,
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
    let role = patch.accept()?;
    let mut own = state.database().tenant(&tenant).await?;
    refuse_gone(&mut own).await?;
    if let Some(role) = role {
        drop(own);
        let now = state.clock().now();
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
    } else {
        // Nothing is to change, and still this version is meant and no other.
        let member = find_member(&mut own, user).await?;
        if_match.check(member.ok_or(ApiError::NotFound)?.version)?;
        drop(own);
    }
    show(&state, &tenant, user).await
}

impl MemberPatch {
    /// The role that is wanted; absent = as it is.
    fn accept(self) -> Result<Option<Role>, ApiError> {
        let mut violations = Violations::default();
        let role = match self.role {
            Stated::Not => None,
            Stated::Null => {
                violations.add("/role", "required", "cannot be taken away");
                None
            }
            Stated::Value(Role::SystemAdmin) => {
                violations.add("/role", "range", "must be a role of a tenant");
                None
            }
            Stated::Value(role @ (Role::TenantViewer | Role::TenantMember | Role::TenantAdmin)) => {
                Some(role)
            }
        };
        violations.finish()?;
        Ok(role)
    }
}
