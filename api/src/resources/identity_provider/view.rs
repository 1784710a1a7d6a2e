//! `GET /tenants/{id}/identity-provider`.

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use unity_shared::{
    ids::TenantId,
    people::{IdentityProvider, find_identity_provider},
    tenancy::Role,
};

use crate::{
    auth::Caller,
    error::ApiError,
    extract::{NoParameters, PathId, etag},
    problem::ProblemBody,
    state::ApiState,
};

/// An identity provider, without its secret.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ProviderView {
    /// Its address.
    issuer: String,
    /// The name under which it knows Unity.
    client_id: String,
    /// Whose addresses it may vouch for; empty = all.
    email_domains: Vec<String>,
    /// What somebody becomes whom nobody knows yet; null = nobody comes in without an invitation.
    #[schema(required)]
    default_role: Option<Role>,
    /// Where people of the tenant begin to sign in.
    sign_in: String,
    /// The address that the provider sends them back to; it must be allowed there. Null = the
    /// installation does not say at which address it is found, so nobody can sign in.
    #[schema(required)]
    redirect_uri: Option<String>,
    /// When it was first set.
    created_at: DateTime<Utc>,
    /// When it last changed.
    updated_at: DateTime<Utc>,
}

/// Shows a tenant's identity provider, all but its secret.
#[utoipa::path(
    get,
    path = "/tenants/{id}/identity-provider",
    tag = "members",
    params(("id" = TenantId, Path, description = "The tenant's slug.")),
    responses(
        (status = 200, description = "The identity provider.", body = ProviderView,
         headers(("ETag" = String, description = "Strong; changes with every change."))),
        (status = 404, description = "No such tenant, or not the caller's, or it has none.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn get_identity_provider(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(tenant): PathId<TenantId>,
    NoParameters: NoParameters,
) -> Result<Response, ApiError> {
    caller.must_be_of(&tenant)?;
    show(&state, &tenant).await
}

/// The provider as it is now.
pub async fn show(state: &ApiState, tenant: &TenantId) -> Result<Response, ApiError> {
    let mut tx = state.database().tenant(tenant).await?;
    let IdentityProvider {
        issuer,
        client_id,
        sealed_secret: _,
        email_domains,
        default_role,
        version,
        created_at,
        updated_at,
    } = find_identity_provider(&mut tx)
        .await?
        .ok_or(ApiError::NotFound)?;
    let view = ProviderView {
        issuer,
        client_id,
        email_domains,
        default_role,
        sign_in: format!("/api/v1/auth/oidc/{tenant}/start"),
        redirect_uri: state.redirect_uri(),
        created_at,
        updated_at,
    };
    Ok(([(header::ETAG, etag(version))], Json(view)).into_response())
}
