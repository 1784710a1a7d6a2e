//! The steps of a tenant's life: `POST /tenants/{id}/suspend`, `resume` and `restore`, and
//! `DELETE /tenants/{id}`.
//!
//! Whoever calls for a tenant that is not in use is refused from the next look at its row on, which
//! each process takes every second; its jobs are held in the gate at once.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use unity_shared::{
    audit::{Action, AuditedObject, Author, Deed, record_for_platform},
    ids::{JobId, TenantId},
    tenancy::{LifeStep, Stepped, insert_platform_answer, lock_tenant, take_step},
};

use super::view::{Changed, Refused, TenantChanged};
use crate::{
    audit::By,
    error::ApiError,
    extract::{Idempotency, IdempotentRequest, IfMatch, NoParameters, OptionalJson, PathId},
    problem::ProblemBody,
    resources::repeat::{after_failure, find_before},
    state::ApiState,
    violations::Violations,
};

/// Why a step is taken.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StepOrder {
    /// Shown with the tenant. Absent = no reason is given.
    #[schema(min_length = 1, max_length = 500, format = "words")]
    reason: Option<String>,
}

/// A step that was asked for.
struct Wish {
    tenant: TenantId,
    step: LifeStep,
    reason: Option<String>,
    if_match: IfMatch,
}

impl Wish {
    /// As the audit log is told, with the job that brings the namespace in line.
    fn deed(&self, job: Option<JobId>) -> Deed {
        let (action, purge_after) = match self.step {
            LifeStep::Suspend => (Action::TENANT_SUSPEND, None),
            LifeStep::Resume => (Action::TENANT_RESUME, None),
            LifeStep::Restore => (Action::TENANT_RESTORE, None),
            LifeStep::Delete { purge_after } => (Action::TENANT_DELETE, Some(purge_after)),
        };
        Deed::done(
            action,
            AuditedObject::one("tenant", &self.tenant),
            json!({ "reason": self.reason, "purge_after": purge_after, "job_id": job }),
        )
    }
}

macro_rules! step_route {
    ($(#[$doc:meta])* $name:ident, $path:literal, $step:expr, $done:literal) => {
        $(#[$doc])*
        #[utoipa::path(
            post,
            path = $path,
            tag = "tenants",
            params(
                ("id" = TenantId, Path, description = "The tenant's slug."),
                ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters."),
                ("If-Match" = Option<String>, Header, description = "The ETag of the tenant that is meant."),
            ),
            request_body(content = Option<StepOrder>, description = "May be left out."),
            responses(
                (status = 200, description = $done, body = TenantChanged,
                 headers(("ETag" = String, description = "Of the tenant as it is now."))),
                (status = 404, description = "No such tenant.", body = ProblemBody,
                 content_type = "application/problem+json"),
                (status = 409, description = "`tenant_status` is a state from which this step does not lead.",
                 body = ProblemBody, content_type = "application/problem+json"),
                (status = 412, description = "The tenant has changed since.", body = ProblemBody,
                 content_type = "application/problem+json"),
                (status = 422, description = "Values that cannot be accepted.", body = ProblemBody,
                 content_type = "application/problem+json"),
            ),
        )]
        pub async fn $name(
            State(state): State<ApiState>,
            By(author): By,
            PathId(tenant): PathId<TenantId>,
            NoParameters: NoParameters,
            idempotency: Idempotency,
            if_match: IfMatch,
            OptionalJson { value: order, raw }: OptionalJson<StepOrder>,
        ) -> Result<Response, ApiError> {
            // The route names no tenant, so the request that is kept must.
            let request = idempotency.request(&[tenant.as_str().as_bytes(), b"\n", &raw].concat());
            let reason = order.accept()?;
            let wish = Wish { tenant, step: $step, reason, if_match };
            take_once(&state, &author, &wish, request).await
        }
    };
}

step_route!(
    /// Takes a tenant out of use: its callers are refused, its jobs held, its schedules do not fire.
    /// Jobs that run go on to their end.
    suspend_tenant,
    "/tenants/{id}/suspend",
    LifeStep::Suspend,
    "It is suspended."
);
step_route!(
    /// Takes a suspended tenant back into use; what was held goes on.
    resume_tenant,
    "/tenants/{id}/resume",
    LifeStep::Resume,
    "It is active."
);
step_route!(
    /// Takes a deletion back, until the grace period ends. The tenant is active or suspended, as it was.
    restore_tenant,
    "/tenants/{id}/restore",
    LifeStep::Restore,
    "It is as it was before it was deleted."
);

/// Deletes a tenant: it is refused everywhere at once, and purged when its grace period is over.
#[utoipa::path(
    delete,
    path = "/tenants/{id}",
    tag = "tenants",
    params(
        ("id" = TenantId, Path, description = "The tenant's slug."),
        ("If-Match" = Option<String>, Header, description = "The ETag of the tenant that is meant."),
    ),
    responses(
        (status = 200, description = "It is deleted; `purge_after` says until when it can be restored.",
         body = TenantChanged, headers(("ETag" = String, description = "Of the tenant as it is now."))),
        (status = 404, description = "No such tenant.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 409, description = "`tenant_status` is a state from which this step does not lead.",
         body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "The tenant has changed since.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn delete_tenant(
    State(state): State<ApiState>,
    By(author): By,
    PathId(tenant): PathId<TenantId>,
    NoParameters: NoParameters,
    if_match: IfMatch,
) -> Result<Response, ApiError> {
    let purge_after = state.clock().now() + state.tenant_grace();
    let wish = Wish {
        tenant,
        step: LifeStep::Delete { purge_after },
        reason: None,
        if_match,
    };
    take_once(&state, &author, &wish, None).await
}

impl StepOrder {
    fn accept(self) -> Result<Option<String>, ApiError> {
        let mut violations = Violations::default();
        if let Some(reason) = &self.reason {
            violations.text("/reason", reason, &(1..=500));
            if reason.trim().is_empty() {
                violations.add("/reason", "blank", "must not be blank");
            }
        }
        violations.finish()?;
        Ok(self.reason)
    }
}

/// Takes the step, or answers as an equal request was answered before.
async fn take_once(
    state: &ApiState,
    author: &Author,
    wish: &Wish,
    request: Option<IdempotentRequest>,
) -> Result<Response, ApiError> {
    let request = request.as_ref();
    if let Some(before) = find_before(state, request).await? {
        return Ok(before);
    }
    match take(state, author, wish, request).await {
        Ok(changed) => Ok(changed.into_response()),
        // An equal request may have been first, and the step does not lead from where it led to.
        Err(Refused::Api(error @ ApiError::TenantState { .. })) => {
            Ok(find_before(state, request).await?.ok_or(error)?)
        }
        Err(Refused::Api(error)) => Err(error),
        Err(Refused::Database(error)) => after_failure(state, request, error).await,
    }
}

async fn take(
    state: &ApiState,
    author: &Author,
    wish: &Wish,
    request: Option<&IdempotentRequest>,
) -> Result<TenantChanged, Refused> {
    let now = state.clock().now();
    let mut tx = state.database().operator().begin().await?;
    let tenant = lock_tenant(&mut tx, &wish.tenant)
        .await?
        .ok_or(ApiError::NotFound)?;
    wish.if_match.check(tenant.version)?;
    let reason = wish.reason.as_deref();
    let tenant = match take_step(&mut tx, &tenant, wish.step, reason, now).await? {
        Stepped::Taken(tenant) => *tenant,
        Stepped::Not(status) => {
            let action = wish.step.participle();
            return Err(ApiError::TenantState { status, action }.into());
        }
    };
    let changed = Changed::provisioned(&mut tx, tenant, author.request_id, now).await?;
    let view = changed.view();
    if let Some(request) = request {
        let recorded = request.answer(StatusCode::OK, None, json!(view));
        insert_platform_answer(&mut tx, &request.key, &recorded, now).await?;
    }
    let deed = wish.deed(changed.job.as_ref().map(|job| job.id));
    record_for_platform(&mut tx, author, Some(&wish.tenant), &deed, now).await?;
    tx.commit().await?;
    changed.tell_gate(state, now).await;
    tracing::info!(tenant = %wish.tenant, "tenant {}", wish.step.participle());
    Ok(view)
}
