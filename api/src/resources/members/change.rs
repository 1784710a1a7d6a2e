//! `PATCH /tenants/{id}/members/{user}`.

use axum::{extract::State, response::Response};
use serde::Deserialize;
use serde_json::json;
use unity_shared::{
    audit::{Action, AuditedObject, Deed, record},
    ids::{TenantId, UserId},
    people::{Member, change_role},
    tenancy::Role,
};

use super::view::{refuse, show};
use crate::{
    audit::By,
    auth::Caller,
    error::ApiError,
    extract::{IfMatch, JsonBody, NoParameters, PathIds},
    problem::ProblemBody,
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
/// administrator stays one.
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
        (status = 409, description = "The last administrator.", body = ProblemBody,
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
        let mut tx = state.database().tenant(&tenant).await?;
        refuse(
            change_role(&mut tx, user, role, |version| {
                if_match.check(version).is_ok()
            })
            .await?,
        )?;
        let deed = Deed::done(
            Action::MEMBER_UPDATE,
            AuditedObject::one("user", user),
            json!({ "role": role }),
        );
        record(&mut tx, &author, &deed, state.clock().now()).await?;
        tx.commit().await?;
    }
    show(&state, &tenant, user).await
}
