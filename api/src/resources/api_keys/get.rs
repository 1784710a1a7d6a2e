//! `GET /api-keys/{id}`.

use axum::{Json, extract::State};
use unity_shared::{
    ids::ApiKeyId,
    tenancy::{StoredKey, find_platform_key, find_tenant_key},
};

use crate::{
    auth::Caller,
    error::ApiError,
    extract::{NoParameters, PathId},
    problem::ProblemBody,
    state::ApiState,
};

/// Shows a key of the caller's tenant, or of the platform, without its secret.
#[utoipa::path(
    get,
    path = "/api-keys/{id}",
    tag = "api-keys",
    params(("id" = ApiKeyId, Path, description = "The key.")),
    responses(
        (status = 200, description = "The key.", body = StoredKey),
        (status = 404, description = "No such key, or another tenant's.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn get_api_key(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<ApiKeyId>,
    NoParameters: NoParameters,
) -> Result<Json<StoredKey>, ApiError> {
    let key = if let Some(tenant) = &caller.tenant {
        let mut tx = state.database().tenant(tenant).await?;
        find_tenant_key(&mut tx, id).await?
    } else {
        let mut tx = state.database().operator().statement().await?;
        find_platform_key(&mut tx, id).await?
    };
    key.map(Json).ok_or(ApiError::NotFound)
}
