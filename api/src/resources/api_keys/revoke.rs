//! `DELETE /api-keys/{id}`.

use axum::{extract::State, http::StatusCode};
use serde_json::json;
use unity_shared::{
    audit::{Action, AuditedObject, Deed, record, record_for_platform},
    ids::ApiKeyId,
    tenancy::{revoke_platform_key, revoke_tenant_key},
};

use crate::{
    audit::By,
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
    By(author): By,
    PathId(id): PathId<ApiKeyId>,
    NoParameters: NoParameters,
) -> Result<StatusCode, ApiError> {
    let now = state.clock().now();
    let deed = Deed::done(
        Action::API_KEY_REVOKE,
        AuditedObject::one("api_key", id),
        json!({}),
    );
    if let Some(tenant) = &caller.tenant {
        let mut tx = state.database().tenant(tenant).await?;
        if !revoke_tenant_key(&mut tx, id, now).await? {
            return Err(ApiError::NotFound);
        }
        record(&mut tx, &author, &deed, now).await?;
        tx.commit().await?;
    } else {
        let mut tx = state.database().operator().begin().await?;
        if !revoke_platform_key(&mut tx, id, now).await? {
            return Err(ApiError::NotFound);
        }
        record_for_platform(&mut tx, &author, None, &deed, now).await?;
        tx.commit().await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
