//! `GET /tenants/{id}/usage`.

use axum::{Json, extract::State};
use serde::Serialize;
use unity_shared::{
    ids::TenantId,
    people::count_expired_places,
    telemetry::chain,
    tenancy::{Quota, QuotaReport, QuotaUsage, find_tenant, list_quota_usage},
};

use crate::{
    auth::Caller,
    error::ApiError,
    extract::{NoParameters, PathId},
    problem::ProblemBody,
    state::ApiState,
};

/// Each quota, and what is used of it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct TenantUsage {
    /// The tenant.
    tenant_id: TenantId,
    #[serde(flatten)]
    quotas: QuotaReport,
}

/// Shows what a tenant uses of each quota, to a system administrator or to itself.
#[utoipa::path(
    get,
    path = "/tenants/{id}/usage",
    tag = "tenants",
    params(("id" = TenantId, Path, description = "The tenant's slug.")),
    responses(
        (status = 200, description = "Each quota by its name.", body = TenantUsage),
        (status = 404, description = "No such tenant, or not the caller's.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn get_usage(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<TenantId>,
    NoParameters: NoParameters,
) -> Result<Json<TenantUsage>, ApiError> {
    // Decided before the database is asked: for another's tenant and for none, nothing differs.
    if caller.tenant.is_some_and(|own| own != id) {
        return Err(ApiError::NotFound);
    }
    let mut tx = state.database().tenant(&id).await?;
    let tenant = find_tenant(&mut tx).await?.ok_or(ApiError::NotFound)?;
    let counted = list_quota_usage(&mut tx).await?;
    let expired = count_expired_places(&mut tx, state.clock().now()).await?;
    drop(tx);
    let calls = calls_this_hour(&state, &id).await;
    let quotas = QuotaReport::of(|quota| {
        let counted = counted.get(quota.name()).copied();
        let used = match quota {
            Quota::ApiCallsPerHour => calls,
            // The cluster counts these; nobody has asked it before the first job that provisions.
            Quota::CpuCores | Quota::MemoryGb | Quota::StorageGb => counted,
            Quota::Users => Some(counted.unwrap_or(0).saturating_sub(expired)),
            Quota::KubernetesClusters | Quota::Plugins | Quota::SshKeys | Quota::Certificates => {
                Some(counted.unwrap_or(0))
            }
        };
        let limit = quota.of(&tenant.resource_quota);
        QuotaUsage { limit, used }
    });
    Ok(Json(TenantUsage {
        tenant_id: id,
        quotas,
    }))
}

async fn calls_this_hour(state: &ApiState, tenant: &TenantId) -> Option<u32> {
    match state.gate().api_calls(tenant, state.clock().now()).await {
        Ok(calls) => Some(calls),
        Err(error) => {
            tracing::warn!(error = chain(&error), "could not read a tenant's calls");
            None
        }
    }
}
