//! `POST /tenants/{id}/purge`: what the scheduler orders by itself, for operators who do not wait for it.

use axum::{extract::State, http::StatusCode, response::Response};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;
use unity_shared::{
    audit::{Action, AuditedObject, Author, Deed, record_for_platform},
    ids::{RequestId, TenantId},
    jobs::{
        Enqueued, NewJob, enqueue_as_operator,
        kinds::{HardDeleteTenant, spec_of},
    },
    tenancy::{Tenant, TenantStatus, insert_platform_answer, lock_tenant},
};

use super::view::Refused;
use crate::{
    audit::By,
    enqueue::tell_gate,
    error::ApiError,
    extract::{Idempotency, IdempotentRequest, NoBody, NoParameters, PathId},
    middleware::CurrentRequestId,
    problem::ProblemBody,
    resources::{
        jobs::{JobView, accepted, address},
        repeat::{after_failure, find_before},
    },
    state::ApiState,
};

/// Orders the purge of a deleted tenant whose grace period is over. The job belongs to the platform;
/// there is no way to purge a tenant sooner.
#[utoipa::path(
    post,
    path = "/tenants/{id}/purge",
    tag = "tenants",
    params(
        ("id" = TenantId, Path, description = "The tenant's slug."),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters."),
    ),
    responses(
        (status = 202, description = "The job that takes all away that is left of it.", body = JobView,
         headers(
            ("Location" = String, description = "Where to look how it is doing."),
            ("Retry-After" = u32, description = "Seconds until looking makes sense."),
         )),
        (status = 404, description = "No such tenant.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 409, description = "It is not deleted, or its grace period is not over.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn purge_tenant(
    State(state): State<ApiState>,
    By(author): By,
    CurrentRequestId(request_id): CurrentRequestId,
    PathId(tenant): PathId<TenantId>,
    NoParameters: NoParameters,
    idempotency: Idempotency,
    NoBody: NoBody,
) -> Result<Response, ApiError> {
    // The route names no tenant, so the request that is kept must.
    let request = idempotency.request(tenant.as_str().as_bytes());
    if let Some(before) = find_before(&state, request.as_ref()).await? {
        return Ok(before);
    }
    let now = state.clock().now();
    match write(&state, &author, &tenant, request.as_ref(), request_id, now).await {
        Ok(job) => {
            let platform = TenantId::platform();
            let written = Enqueued {
                written: [job.id].into(),
                superseded: Vec::new(),
            };
            tell_gate(state.gate(), [(&platform, &job)], &written, now).await;
            Ok(accepted(job.first_state(&platform, now)))
        }
        Err(Refused::Api(error)) => Err(error),
        Err(Refused::Database(error)) => after_failure(&state, request.as_ref(), error).await,
    }
}

async fn write(
    state: &ApiState,
    author: &Author,
    id: &TenantId,
    request: Option<&IdempotentRequest>,
    request_id: RequestId,
    now: DateTime<Utc>,
) -> Result<NewJob, Refused> {
    let mut tx = state.database().operator().begin().await?;
    let tenant = lock_tenant(&mut tx, id).await?.ok_or(ApiError::NotFound)?;
    check_due(&tenant, now)?;
    let order = HardDeleteTenant {
        tenant_id: id.clone(),
    };
    let mut job = NewJob::new(&spec_of::<HardDeleteTenant>(), &json!(order), now)
        .map_err(|error| ApiError::Defect(error.to_string()))?;
    job.resource_key = Some(order.resource_key());
    job.request_id = Some(request_id);
    let platform = TenantId::platform();
    enqueue_as_operator(&mut tx, &platform, &job, now).await?;
    if let Some(request) = request {
        let view = JobView::from(job.first_state(&platform, now));
        let recorded = request.answer(StatusCode::ACCEPTED, Some(&address(job.id)), json!(view));
        insert_platform_answer(&mut tx, &request.key, &recorded, now).await?;
    }
    let deed = Deed::done(
        Action::TENANT_ORDER_PURGE,
        AuditedObject::one("tenant", id),
        json!({ "job_id": job.id }),
    );
    record_for_platform(&mut tx, author, Some(id), &deed, now).await?;
    tx.commit().await?;
    Ok(job)
}

fn check_due(tenant: &Tenant, now: DateTime<Utc>) -> Result<(), ApiError> {
    match (tenant.status, tenant.purge_after) {
        (TenantStatus::Purging, _) => Ok(()),
        (TenantStatus::Deleted, Some(end)) if end <= now => Ok(()),
        (TenantStatus::Deleted, Some(end)) => Err(ApiError::Conflict {
            code: "tenant.grace_period",
            detail: format!(
                "the tenant can be restored until {}, and nothing shortens that",
                end.to_rfc3339_opts(SecondsFormat::Secs, true)
            ),
        }),
        (
            status @ (TenantStatus::Active
            | TenantStatus::Suspended
            | TenantStatus::Deleted
            | TenantStatus::Purged),
            _,
        ) => Err(ApiError::TenantState {
            status,
            action: "purged",
        }),
    }
}
