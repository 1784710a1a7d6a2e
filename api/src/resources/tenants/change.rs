//! `PATCH /tenants/{id}`.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use unity_shared::{
    audit::{Action, AuditedObject, Author, Deed, record, record_for_platform},
    ids::TenantId,
    tenancy::{
        Plan, QuotaOverrides, Role, Tenant, TenantChange, TenantStatus, lock_own_tenant,
        lock_tenant, rename_tenant, update_tenant,
    },
};

use super::{order::read_quota, view::Changed, view::TenantChanged};
use crate::{
    audit::By,
    auth::Caller,
    error::ApiError,
    extract::{IfMatch, JsonBody, NoParameters, PathId, with_plain_numbers},
    merge_patch::Stated,
    problem::ProblemBody,
    state::ApiState,
    violations::Violations,
};

/// What of a tenant is to change, as a JSON merge patch (RFC 7396): absent = as it is. Only quotas can
/// be null: as the plan has them.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantPatch {
    /// What people call it.
    #[serde(default)]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 200, format = "words")]
    name: Stated<String>,
    /// Its plan. For system administrators.
    #[serde(default)]
    #[schema(value_type = Plan, required = false)]
    plan: Stated<Plan>,
    /// Quotas of its own; a null takes one back to the plan's. For system administrators.
    #[serde(default)]
    #[schema(value_type = Option<QuotaOverrides>)]
    resource_quota: Stated<Map<String, Value>>,
}

/// Changes a tenant. A changed plan or quota holds at once for jobs and for what is made from now on;
/// the job brings the namespace in line. What is above a lowered quota stays.
#[utoipa::path(
    patch,
    path = "/tenants/{id}",
    tag = "tenants",
    params(
        ("id" = TenantId, Path, description = "The tenant's slug."),
        ("If-Match" = Option<String>, Header, description = "The ETag of the tenant that is meant."),
    ),
    request_body = TenantPatch,
    responses(
        (status = 200, description = "The tenant as it is now.", body = TenantChanged,
         headers(("ETag" = String, description = "Of the tenant as it is now."))),
        (status = 404, description = "No such tenant, or not the caller's.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 409, description = "It is deleted.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 412, description = "The tenant has changed since.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 422, description = "Values that cannot be accepted.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn change_tenant(
    State(state): State<ApiState>,
    caller: Caller,
    By(author): By,
    PathId(id): PathId<TenantId>,
    NoParameters: NoParameters,
    if_match: IfMatch,
    JsonBody { value: patch, .. }: JsonBody<TenantPatch>,
) -> Result<Response, ApiError> {
    let changed = match caller.tenant {
        None => change(&state, &author, &id, &if_match, patch).await?,
        // Decided before the database is asked: for another's tenant and for none, nothing differs.
        Some(own) if own != id => return Err(ApiError::NotFound),
        Some(_) if patch.is_for_operators() => {
            return Err(ApiError::RoleInsufficient(Role::SystemAdmin));
        }
        Some(own) => rename(&state, &author, &own, &if_match, patch).await?,
    };
    Ok(changed.view().into_response())
}

async fn change(
    state: &ApiState,
    author: &Author,
    id: &TenantId,
    if_match: &IfMatch,
    patch: TenantPatch,
) -> Result<Changed, ApiError> {
    let now = state.clock().now();
    let mut tx = state.database().operator().begin().await?;
    let tenant = lock_tenant(&mut tx, id).await?.ok_or(ApiError::NotFound)?;
    let before = values(&tenant);
    let after = patch.accept(&tenant, if_match)?;
    if after == before {
        return Ok(Changed { tenant, job: None });
    }
    if !update_tenant(&mut tx, id, &after, tenant.version, now).await? {
        return Err(ApiError::Busy);
    }
    let tenant = lock_tenant(&mut tx, id).await?.ok_or(ApiError::NotFound)?;
    let only_renamed = (after.plan, after.quota) == (before.plan, before.quota);
    let changed = if only_renamed {
        Changed { tenant, job: None }
    } else {
        Changed::provisioned(&mut tx, tenant, author.request_id, now).await?
    };
    record_for_platform(&mut tx, author, Some(id), &deed(&before, &after, id), now).await?;
    tx.commit().await?;
    changed.tell_gate(state, now).await;
    Ok(changed)
}

async fn rename(
    state: &ApiState,
    author: &Author,
    own: &TenantId,
    if_match: &IfMatch,
    patch: TenantPatch,
) -> Result<Changed, ApiError> {
    let mut tx = state.database().tenant(own).await?;
    let tenant = lock_own_tenant(&mut tx).await?.ok_or(ApiError::NotFound)?;
    let after = patch.accept(&tenant, if_match)?;
    if after.name == tenant.name {
        return Ok(Changed { tenant, job: None });
    }
    let (before, now) = (values(&tenant), state.clock().now());
    if !rename_tenant(&mut tx, &after.name, tenant.version, now).await? {
        return Err(ApiError::Busy);
    }
    let tenant = lock_own_tenant(&mut tx).await?.ok_or(ApiError::NotFound)?;
    record(&mut tx, author, &deed(&before, &after, own), now).await?;
    tx.commit().await?;
    Ok(Changed { tenant, job: None })
}

fn deed(before: &TenantChange, after: &TenantChange, id: &TenantId) -> Deed {
    let told = |values: &TenantChange| json!({ "name": values.name, "plan": values.plan, "resource_quota": values.quota });
    Deed::done(
        Action::TENANT_UPDATE,
        AuditedObject::one("tenant", id),
        json!({ "before": told(before), "after": told(after) }),
    )
}

fn values(tenant: &Tenant) -> TenantChange {
    TenantChange {
        name: tenant.name.clone(),
        plan: tenant.plan,
        quota: tenant.own_quota,
    }
}

impl TenantPatch {
    fn is_for_operators(&self) -> bool {
        self.plan != Stated::Not || self.resource_quota != Stated::Not
    }

    /// The tenant's values as they are to be.
    fn accept(self, tenant: &Tenant, if_match: &IfMatch) -> Result<TenantChange, ApiError> {
        if_match.check(tenant.version)?;
        match tenant.status {
            TenantStatus::Active | TenantStatus::Suspended => {}
            status @ (TenantStatus::Deleted | TenantStatus::Purging | TenantStatus::Purged) => {
                let action = "changed";
                return Err(ApiError::TenantState { status, action });
            }
        }
        self.merge(values(tenant))
    }

    fn merge(self, before: TenantChange) -> Result<TenantChange, ApiError> {
        let Self {
            name,
            plan,
            resource_quota,
        } = self;
        let mut violations = Violations::default();
        let name = match name {
            Stated::Not => before.name,
            Stated::Null => {
                violations.add("/name", "required", "cannot be taken away");
                before.name
            }
            Stated::Value(name) => {
                violations.text("/name", &name, &(1..=200));
                if name.trim().is_empty() {
                    violations.add("/name", "blank", "must not be blank");
                }
                name
            }
        };
        let plan = match plan {
            Stated::Not => before.plan,
            Stated::Null => {
                violations.add("/plan", "required", "cannot be taken away");
                before.plan
            }
            Stated::Value(plan) => plan,
        };
        let quota = match resource_quota {
            Stated::Not => before.quota,
            Stated::Null => QuotaOverrides::default(),
            Stated::Value(stated) => merge_quota(before.quota, stated)?,
        };
        violations.finish()?;
        Ok(TenantChange { name, plan, quota })
    }
}

fn merge_quota(
    before: QuotaOverrides,
    stated: Map<String, Value>,
) -> Result<QuotaOverrides, ApiError> {
    let defect = |error: serde_json::Error| ApiError::Defect(error.to_string());
    let stated = with_plain_numbers(stated);
    read_quota(&stated)?;
    let mut merged = serde_json::to_value(before).map_err(defect)?;
    if let Value::Object(merged) = &mut merged {
        for (name, value) in stated {
            merged.insert(name, value);
        }
    }
    serde_json::from_value(merged).map_err(defect)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn before() -> TenantChange {
        TenantChange {
            name: "Acme".to_owned(),
            plan: Plan::Pro,
            quota: QuotaOverrides {
                cpu_cores: Some(7),
                users: Some(3),
                ..QuotaOverrides::default()
            },
        }
    }

    fn merge(patch: Value) -> Result<TenantChange, ApiError> {
        serde_json::from_value::<TenantPatch>(patch)
            .unwrap()
            .merge(before())
    }

    #[test]
    fn what_is_absent_stays_and_a_null_quota_is_the_plans_again() {
        assert_eq!(merge(json!({})).unwrap(), before());
        let patch = json!({ "resource_quota": { "cpu_cores": null, "plugins": 9 } });
        let quota = merge(patch).unwrap().quota;
        assert_eq!(
            (quota.cpu_cores, quota.users, quota.plugins),
            (None, Some(3), Some(9))
        );
        let none = merge(json!({ "resource_quota": null })).unwrap().quota;
        assert_eq!(none, QuotaOverrides::default());
    }

    #[test]
    fn a_name_and_a_plan_cannot_be_taken_away() {
        for (patch, pointer) in [
            (json!({ "name": null }), "/name"),
            (json!({ "name": " " }), "/name"),
            (json!({ "plan": null }), "/plan"),
            (
                json!({ "resource_quota": { "users": -1 } }),
                "/resource_quota/users",
            ),
        ] {
            match merge(patch.clone()) {
                Err(ApiError::Invalid(errors)) => assert_eq!(errors[0].pointer, pointer),
                other => panic!("{patch} was answered with {other:?}"),
            }
        }
    }
}
