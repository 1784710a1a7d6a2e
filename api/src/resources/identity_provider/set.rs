//! `PUT` and `DELETE /tenants/{id}/identity-provider`.

use axum::{extract::State, http::StatusCode, response::Response};
use serde_json::json;
use unity_shared::{
    audit::{Action, AuditedObject, Deed, record},
    ids::TenantId,
    people::{self, NewIdentityProvider, find_identity_provider},
    tenancy::lock_own_tenant,
};

use super::{
    order::{AcceptedProvider, IdentityProviderOrder},
    view::{ProviderView, show},
};
use crate::{
    audit::By,
    auth::Caller,
    error::ApiError,
    extract::{IfMatch, JsonBody, NoParameters, PathId},
    problem::ProblemBody,
    resources::refuse_gone_status,
    state::ApiState,
};

/// The largest body that a provider needs, in bytes.
const SMALL: usize = 64 * 1024;

/// Sets a tenant's identity provider, in place of the one before.
#[utoipa::path(
    put,
    path = "/tenants/{id}/identity-provider",
    tag = "members",
    params(
        ("id" = TenantId, Path, description = "The tenant's slug."),
        ("If-Match" = Option<String>, Header, description = "Replace this version and no other."),
    ),
    request_body = IdentityProviderOrder,
    responses(
        (status = 200, description = "The identity provider as it is now.", body = ProviderView,
         headers(("ETag" = String, description = "Strong; changes with every change."))),
        (status = 404, description = "No such tenant, or not the caller's.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 409, description = "The tenant is deleted.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 412, description = "Another version than If-Match says.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 422, description = "Values that cannot be accepted.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn put_identity_provider(
    State(state): State<ApiState>,
    caller: Caller,
    By(author): By,
    PathId(tenant): PathId<TenantId>,
    NoParameters: NoParameters,
    if_match: IfMatch,
    JsonBody { value: order, .. }: JsonBody<IdentityProviderOrder, SMALL>,
) -> Result<Response, ApiError> {
    caller.must_be_of(&tenant)?;
    let AcceptedProvider {
        issuer,
        client_id,
        client_secret,
        email_domains,
        default_role,
    } = order.accept(state.outbound())?;
    let provider = NewIdentityProvider {
        sealed_secret: state.seal_for(&tenant, client_secret.as_bytes())?,
        issuer,
        client_id,
        email_domains,
        default_role,
    };
    let mut tx = state.database().tenant(&tenant).await?;
    // Of two who mean one version the second waits, and finds another.
    let own = lock_own_tenant(&mut tx).await?.ok_or(ApiError::NotFound)?;
    refuse_gone_status(own.status)?;
    match find_identity_provider(&mut tx).await? {
        Some(before) => if_match.check(before.version)?,
        None => if_match.check_absent()?,
    }
    let now = state.clock().now();
    people::put_identity_provider(&mut tx, &provider, now).await?;
    let deed = Deed::done(
        Action::IDENTITY_PROVIDER_SET,
        AuditedObject::one("identity_provider", &tenant),
        json!({
            "issuer": provider.issuer, "client_id": provider.client_id,
            "email_domains": provider.email_domains, "default_role": provider.default_role,
        }),
    );
    record(&mut tx, &author, &deed, now).await?;
    tx.commit().await?;
    show(&state, &tenant).await
}

/// Takes a tenant's identity provider away. Whoever has come in by it stays a member.
#[utoipa::path(
    delete,
    path = "/tenants/{id}/identity-provider",
    tag = "members",
    params(
        ("id" = TenantId, Path, description = "The tenant's slug."),
        ("If-Match" = Option<String>, Header, description = "Take this version away and no other."),
    ),
    responses(
        (status = 204, description = "The tenant has none any more."),
        (status = 404, description = "No such tenant, or not the caller's, or it has none.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 409, description = "The tenant is deleted.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 412, description = "Another version than If-Match says.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn delete_identity_provider(
    State(state): State<ApiState>,
    caller: Caller,
    By(author): By,
    PathId(tenant): PathId<TenantId>,
    NoParameters: NoParameters,
    if_match: IfMatch,
) -> Result<StatusCode, ApiError> {
    caller.must_be_of(&tenant)?;
    let mut tx = state.database().tenant(&tenant).await?;
    let own = lock_own_tenant(&mut tx).await?.ok_or(ApiError::NotFound)?;
    refuse_gone_status(own.status)?;
    let before = find_identity_provider(&mut tx).await?;
    if_match.check(before.ok_or(ApiError::NotFound)?.version)?;
    people::delete_identity_provider(&mut tx).await?;
    let deed = Deed::done(
        Action::IDENTITY_PROVIDER_DELETE,
        AuditedObject::one("identity_provider", &tenant),
        json!({}),
    );
    record(&mut tx, &author, &deed, state.clock().now()).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
