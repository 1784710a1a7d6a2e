//! `POST /tenants`: a tenant, its first administrator, its first key and the job that provisions it.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use unity_shared::{
    audit::{Action, AuditedObject, Author, Deed, record_for_platform},
    db::{DbError, Operator, PlatformTx},
    ids::{JobId, RequestId, TenantId, TenantUid},
    jobs::{
        Enqueued, NewJob, enqueue_as_operator,
        kinds::{ProvisionNamespace, spec_of},
    },
    tenancy::{
        ApiKey, LimitsAt, NewAdmin, Plan, ResourceQuota, Role, TenantStatus, generate_password,
        hash_password, insert_api_key, insert_platform_answer, insert_tenant,
    },
};

use super::order::{AcceptedTenant, TenantOrder};
use crate::{
    audit::By,
    enqueue::{self, announce_limits},
    error::ApiError,
    extract::{Idempotency, IdempotentRequest, JsonBody, NoParameters},
    middleware::CurrentRequestId,
    problem::ProblemBody,
    resources::{
        jobs,
        repeat::{after_failure, find_before},
    },
    state::ApiState,
};

/// The constraint that a taken slug violates.
const SLUG_CONSTRAINT: &str = "tenants_pkey";
/// The name of the key that a tenant is born with.
const FIRST_KEY: &str = "initial";

/// A tenant that was just made, with the secrets that are shown this once.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct TenantCreated {
    /// The slug.
    tenant_id: TenantId,
    /// Its immutable identity.
    uid: TenantUid,
    /// What people call it.
    name: String,
    /// Its plan.
    plan: Plan,
    /// Where it is in its life.
    status: TenantStatus,
    /// Its Kubernetes namespace, which the job makes.
    namespace: String,
    /// A key of role `tenant-admin`. Shown once; null in a replayed answer.
    #[schema(required)]
    api_key: Option<String>,
    /// The first administrator.
    admin_email: String,
    /// Their first password, to be changed. Shown once; null in a replayed answer, and where the
    /// address was known already: its owner keeps their password.
    #[schema(required)]
    admin_password: Option<String>,
    /// The job that provisions the namespace.
    job_id: JobId,
    /// What the tenant may use.
    resource_quota: ResourceQuota,
    /// When it was made.
    created_at: DateTime<Utc>,
}

/// Everything that is decided before the transaction begins.
struct Plans {
    order: AcceptedTenant,
    key: ApiKey,
    password: String,
    admin: NewAdmin,
    job: NewJob,
    now: DateTime<Utc>,
}

/// Makes a tenant and orders its namespace.
#[utoipa::path(
    post,
    path = "/tenants",
    tag = "tenants",
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters.")),
    request_body = TenantOrder,
    responses(
        (status = 201, description = "Made. The job provisions its namespace.", body = TenantCreated,
         headers(("Location" = String, description = "The provisioning job."))),
        (status = 409, description = "The id is taken.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 422, description = "Values that cannot be accepted.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn create_tenant(
    State(state): State<ApiState>,
    By(author): By,
    CurrentRequestId(request_id): CurrentRequestId,
    NoParameters: NoParameters,
    idempotency: Idempotency,
    JsonBody { value: order, raw }: JsonBody<TenantOrder>,
) -> Result<Response, ApiError> {
    let order = order.accept()?;
    let repeatable = idempotency.request(&raw);
    if let Some(replayed) = find_before(&state, repeatable.as_ref()).await? {
        return Ok(replayed);
    }
    let plans = plan(&state, order, request_id).await?;
    match write(&state, &author, &plans, repeatable.as_ref()).await {
        Ok(created) => {
            tell_gate(&state, &plans).await;
            Ok(answer(&created, plans.job.id))
        }
        Err(error) => after_refusal(&state, repeatable.as_ref(), error).await,
    }
}

/// An equal request may have been first; it has taken the slug before it could take the key.
async fn after_refusal(
    state: &ApiState,
    request: Option<&IdempotentRequest>,
    error: DbError,
) -> Result<Response, ApiError> {
    if error.constraint() == Some(SLUG_CONSTRAINT) {
        let before = find_before(state, request).await?;
        return before.ok_or(ApiError::TenantExists);
    }
    after_failure(state, request, error).await
}

/// Makes the secrets. Hashing takes long enough to be kept off the threads that serve requests, and
/// out of the transaction.
async fn plan(
    state: &ApiState,
    order: AcceptedTenant,
    request_id: RequestId,
) -> Result<Plans, ApiError> {
    let password = generate_password();
    let clear = password.clone();
    let password_hash = tokio::task::spawn_blocking(move || hash_password(&clear))
        .await
        .map_err(|error| ApiError::Defect(format!("hashing a password broke off: {error}")))?
        .map_err(ApiError::Password)?;
    let now = state.clock().now();
    let mut job = NewJob::new(&spec_of::<ProvisionNamespace>(), &json!({}), now)
        .map_err(|error| ApiError::Defect(error.to_string()))?;
    job.request_id = Some(request_id);
    Ok(Plans {
        key: ApiKey::generate(Some(&order.tenant.id)),
        admin: NewAdmin {
            email: order.admin_email.clone(),
            password_hash,
        },
        password,
        order,
        job,
        now,
    })
}

async fn write(
    state: &ApiState,
    author: &Author,
    plans: &Plans,
    request: Option<&IdempotentRequest>,
) -> Result<TenantCreated, DbError> {
    let Plans {
        order: AcceptedTenant { tenant, .. },
        key,
        admin,
        job,
        now,
        ..
    } = plans;
    let mut tx = state.database().operator().begin().await?;
    let is_new_admin = insert_tenant(&mut tx, tenant, admin, *now).await?;
    insert_api_key(
        &mut tx,
        Some(&tenant.id),
        Role::TenantAdmin,
        FIRST_KEY,
        key,
        *now,
    )
    .await?;
    enqueue_as_operator(&mut tx, &tenant.id, job, *now).await?;
    let created = plans.created(is_new_admin);
    if let Some(request) = request {
        keep_answer(&mut tx, request, &created, *now).await?;
    }
    let deed = Deed::done(
        Action::TENANT_CREATE,
        AuditedObject::one("tenant", &tenant.id),
        json!({
            "name": tenant.name, "plan": tenant.plan, "resource_quota": created.resource_quota,
            "admin_email": admin.email, "job_id": job.id,
        }),
    );
    record_for_platform(&mut tx, author, Some(&tenant.id), &deed, *now).await?;
    tx.commit().await?;
    Ok(created)
}

async fn keep_answer(
    tx: &mut PlatformTx<Operator>,
    request: &IdempotentRequest,
    created: &TenantCreated,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let location = jobs::address(created.job_id);
    let recorded = request.answer(
        StatusCode::CREATED,
        Some(&location),
        created.without_secrets(),
    );
    insert_platform_answer(tx, &request.key, &recorded, now).await
}

async fn tell_gate(state: &ApiState, plans: &Plans) {
    let tenant = &plans.order.tenant;
    let limits = LimitsAt {
        tenant_id: tenant.id.clone(),
        version: 1,
        limits: tenant.plan.default_job_limits(),
    };
    announce_limits(state.gate(), &limits).await;
    let written = Enqueued {
        written: [plans.job.id].into(),
        superseded: Vec::new(),
    };
    enqueue::tell_gate(
        state.gate(),
        [(&tenant.id, &plans.job)],
        &written,
        plans.now,
    )
    .await;
}

fn answer(created: &TenantCreated, job: JobId) -> Response {
    let location = [(header::LOCATION, jobs::address(job))];
    (StatusCode::CREATED, location, Json(created)).into_response()
}

impl Plans {
    fn created(&self, is_new_admin: bool) -> TenantCreated {
        let tenant = &self.order.tenant;
        TenantCreated {
            tenant_id: tenant.id.clone(),
            uid: tenant.uid,
            name: tenant.name.clone(),
            plan: tenant.plan,
            status: TenantStatus::Active,
            namespace: tenant.id.namespace(),
            api_key: Some(self.key.reveal().to_owned()),
            admin_email: self.order.admin_email.clone(),
            admin_password: is_new_admin.then(|| self.password.clone()),
            job_id: self.job.id,
            resource_quota: tenant.quota.or(tenant.plan.default_quota()),
            created_at: self.now,
        }
    }
}

impl TenantCreated {
    /// What may be kept and sent again.
    fn without_secrets(&self) -> Value {
        let mut body = json!(self);
        for secret in ["api_key", "admin_password"] {
            if let Some(place) = body.get_mut(secret) {
                *place = Value::Null;
            }
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_answer_has_no_secret() {
        let created = TenantCreated {
            tenant_id: TenantId::parse("acme").unwrap(),
            uid: TenantUid::new(),
            name: "Acme".to_owned(),
            plan: Plan::Free,
            status: TenantStatus::Active,
            namespace: "tenant-acme".to_owned(),
            api_key: Some("key-in-clear".to_owned()),
            admin_email: "admin@acme.com".to_owned(),
            admin_password: Some("password-in-clear".to_owned()),
            job_id: JobId::new(),
            resource_quota: Plan::Free.default_quota(),
            created_at: DateTime::UNIX_EPOCH,
        };
        let kept = created.without_secrets();
        assert!(!kept.to_string().contains("in-clear"));
        assert_eq!(
            (&kept["api_key"], &kept["admin_password"]),
            (&Value::Null, &Value::Null)
        );
        assert_eq!(kept["tenant_id"], "acme");
    }
}
