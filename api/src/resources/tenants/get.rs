//! `GET /tenants/{id}`.

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use unity_shared::{
    ids::TenantId,
    tenancy::{Tenant, find_tenant},
};

use crate::{
    auth::Caller,
    error::ApiError,
    extract::{NoParameters, PathId, etag},
    problem::ProblemBody,
    state::ApiState,
};

/// Shows a tenant to a system administrator or to itself.
#[utoipa::path(
    get,
    path = "/tenants/{id}",
    tag = "tenants",
    params(("id" = TenantId, Path, description = "The tenant's slug.")),
    responses(
        (status = 200, description = "The tenant.", body = Tenant,
         headers(("ETag" = String, description = "Strong; changes with every change of the tenant."))),
        (status = 404, description = "No such tenant, or not the caller's.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn get_tenant(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<TenantId>,
    NoParameters: NoParameters,
) -> Result<Response, ApiError> {
    // Decided before the database is asked: for another's tenant and for none, nothing differs.
    if caller.tenant.is_some_and(|own| own != id) {
        return Err(ApiError::NotFound);
    }
    let mut tx = state.database().tenant(&id).await?;
    let tenant = find_tenant(&mut tx).await?.ok_or(ApiError::NotFound)?;
    let etag = [(header::ETAG, etag(tenant.version))];
    Ok((etag, Json(tenant)).into_response())
}
