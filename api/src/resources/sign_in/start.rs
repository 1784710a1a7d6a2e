//! `GET /auth/oidc/{tenant}/start`.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use unity_shared::{
    db::TenantTx,
    ids::TenantId,
    people::{IdentityProvider, find_identity_provider},
    tenancy::{TenantStatus, find_tenant},
};

use super::{begun::SignInState, provider::Provider};
use crate::{
    error::ApiError,
    extract::{NoParameters, PathId},
    problem::ProblemBody,
    state::ApiState,
};

/// Sends a browser to the tenant's identity provider.
#[utoipa::path(
    get,
    path = "/auth/oidc/{tenant}/start",
    tag = "auth",
    params(("tenant" = TenantId, Path, description = "The tenant's slug.")),
    responses(
        (status = 303, description = "On to the provider.",
         headers(
            ("Location" = String, description = "The provider's page."),
            ("Set-Cookie" = String, description = "Says which browser began."),
         )),
        (status = 404, description = "No such tenant, or it has no identity provider.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 409, description = "The installation does not say at which address it is found.",
         body = ProblemBody, content_type = "application/problem+json"),
        (status = 424, description = "The provider does not answer as one. That is remembered for half a minute.",
         body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests, or too many wait for the provider's answer.",
         body = ProblemBody, content_type = "application/problem+json",
         headers(("Retry-After" = u64, description = "Seconds."))),
    ),
)]
pub async fn start_sign_in(
    State(state): State<ApiState>,
    PathId(tenant): PathId<TenantId>,
    NoParameters: NoParameters,
) -> Result<Response, ApiError> {
    let mut tx = state.database().tenant(&tenant).await?;
    let provider = find_provider(&mut tx).await?.ok_or(ApiError::NotFound)?;
    drop(tx);
    let provider = Provider::find(&state, &tenant, &provider).await?;
    let begun = SignInState::new(&tenant);
    let location = [(
        header::LOCATION,
        provider.entrance(state.sign_ins(), &begun),
    )];
    let cookie = state.sign_ins().set_cookie(&begun, state.clock().now())?;
    let cookie = [(header::SET_COOKIE, cookie)];
    Ok((StatusCode::SEE_OTHER, location, cookie).into_response())
}

/// The provider of the transaction's tenant, if the tenant is in use.
pub async fn find_provider(tx: &mut TenantTx) -> Result<Option<IdentityProvider>, ApiError> {
    let tenant = find_tenant(tx).await?;
    match tenant {
        Some(tenant) if tenant.status == TenantStatus::Active => {
            Ok(find_identity_provider(tx).await?)
        }
        Some(_) | None => Ok(None),
    }
}
