//! `DELETE /tenants/{id}/act-as/{grant}`.

use axum::{extract::State, http::StatusCode};
use serde_json::json;
use unity_shared::{
    audit::{Action, AuditedObject, Deed, record_for_platform},
    ids::{ActAsId, TenantId},
    tenancy,
};

use crate::{
    audit::By,
    error::ApiError,
    extract::{NoParameters, PathIds},
    problem::ProblemBody,
    state::ApiState,
};

/// Ends an administrator's time inside a tenant. Its token is refused within two seconds.
#[utoipa::path(
    delete,
    path = "/tenants/{id}/act-as/{grant}",
    tag = "tenants",
    params(
        ("id" = TenantId, Path, description = "The tenant's slug."),
        ("grant" = ActAsId, Path, description = "The grant."),
    ),
    responses(
        (status = 204, description = "It has ended."),
        (status = 404, description = "No such grant, or it has ended.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn end_act_as(
    State(state): State<ApiState>,
    By(author): By,
    PathIds(tenant, grant): PathIds<TenantId, ActAsId>,
    NoParameters: NoParameters,
) -> Result<StatusCode, ApiError> {
    let now = state.clock().now();
    let mut tx = state.database().operator().begin().await?;
    if !tenancy::end_act_as(&mut tx, &tenant, grant, now).await? {
        return Err(ApiError::NotFound);
    }
    let deed = Deed::done(
        Action::ACT_AS_END,
        AuditedObject::one("act_as", grant),
        json!({}),
    );
    record_for_platform(&mut tx, &author, Some(&tenant), &deed, now).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
