//! `DELETE /api-keys/{id}`.

use axum::{extract::State, http::StatusCode};
use unity_shared::{
    ids::ApiKeyId,
    tenancy::{revoke_platform_key, revoke_tenant_key},
};

use crate::{
    auth::Caller,
    error::ApiError,
    extract::{NoParameters, PathId},
    problem::ProblemBody,
    state::ApiState,
};

/// Revokes a key of the caller's tenant, or of the platform. It is refused within two seconds, and is
/// still listed. Revoking it again changes nothing.
#[utoipa::path(
    delete,
    path = "/api-keys/{id}",
    tag = "api-keys",
    params(("id" = ApiKeyId, Path, description = "The key.")),
    responses(
        (status = 204, description = "Revoked."),
        (status = 404, description = "No such key, or another tenant's.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn revoke_api_key(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<ApiKeyId>,
    NoParameters: NoParameters,
) -> Result<StatusCode, ApiError> {
    let now = state.clock().now();
    let exists = if let Some(tenant) = &caller.tenant {
        let mut tx = state.database().tenant(tenant).await?;
        let exists = revoke_tenant_key(&mut tx, id, now).await?;
        tx.commit().await?;
        exists
    } else {
        let mut tx = state.database().operator().statement().await?;
        revoke_platform_key(&mut tx, id, now).await?
    };
    if exists {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::NotFound)
    }
}
