//! `GET` and `PUT /tenants/{id}/job-limits`.

use std::{collections::BTreeMap, ops::RangeInclusive};

use axum::{
    Json,
    extract::State,
    http::{HeaderName, header},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use unity_shared::{
    audit::{Action, AuditedObject, Deed, record_for_platform},
    ids::TenantId,
    jobs::kinds::queue_names,
    queue::GateError,
    telemetry::chain,
    tenancy::{JobLimits, OwnJobLimits, Plan, find_tenant, lock_tenant, update_job_limits},
};

use crate::{
    audit::By,
    auth::Caller,
    enqueue::announce_limits,
    error::ApiError,
    extract::{
        IfMatch, JsonBody, NoParameters, PathId, etag, whole, whole_or_null, wholes_by_name,
    },
    openapi::KindLimits,
    problem::ProblemBody,
    state::ApiState,
    violations::{Violations, escape_segment},
};

/// Limits of a tenant's jobs, as a whole: what is absent is as the tenant's plan has it. How high they
/// can be is a matter of the plan; the highest is stated here.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobLimitsOrder {
    /// Most jobs that run at the same time over all kinds and queues. 0 holds every job back. On the plan
    /// `free` up to 500, on `pro` up to 2000.
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = 0, maximum = 10_000)]
    max_concurrent: i64,
    /// Most jobs of a kind that run at the same time. A kind that is not named has no limit of its own.
    /// Each can be as high as the plan lets `max_concurrent` be, and so higher than it is: then it takes
    /// hold when `max_concurrent` is raised.
    #[serde(default, deserialize_with = "wholes_by_name")]
    #[schema(value_type = Option<KindLimits>)]
    per_kind: Option<BTreeMap<String, i64>>,
    /// Share of the fleet against other tenants with waiting jobs. On `free` up to 100, on `pro` up to 500.
    #[serde(default, deserialize_with = "whole_or_null")]
    #[schema(minimum = 1, maximum = 1000)]
    weight: Option<i64>,
    /// Most jobs that wait at the same time. On `free` up to 1 000 000, on `pro` up to 10 000 000.
    #[serde(default, deserialize_with = "whole_or_null")]
    #[schema(minimum = 0, maximum = 100_000_000)]
    max_waiting: Option<i64>,
}

/// The limits in force, and what they limit now.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct JobLimitsView {
    /// The tenant.
    tenant_id: TenantId,
    #[serde(flatten)]
    limits: JobLimits,
    /// Jobs now; null if the queue does not answer.
    #[schema(required)]
    counts: Option<JobCounts>,
}

/// Jobs of a tenant.
#[derive(Debug, Clone, Copy, Serialize, utoipa::ToSchema)]
pub struct JobCounts {
    /// Jobs that hold a slot.
    running: u64,
    /// Jobs in the queue, also those behind a resource key that is taken.
    waiting: u64,
}

/// The limits with the `ETag` of the tenant that they are part of.
type Shown = ([(HeaderName, String); 1], Json<JobLimitsView>);

const MAX_CONCURRENT: RangeInclusive<i64> = 0..=10_000;
const WEIGHT: RangeInclusive<i64> = 1..=1000;
const MAX_WAITING: RangeInclusive<i64> = 0..=100_000_000;

/// Shows a tenant's job limits to a system administrator or to itself.
#[utoipa::path(
    get,
    path = "/tenants/{id}/job-limits",
    tag = "operations",
    params(("id" = TenantId, Path, description = "The tenant's slug.")),
    responses(
        (status = 200, description = "The limits in force.", body = JobLimitsView,
         headers(("ETag" = String, description = "Of the tenant: changes with every change of it."))),
        (status = 404, description = "No such tenant, or not the caller's.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn get_job_limits(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<TenantId>,
    NoParameters: NoParameters,
) -> Result<Shown, ApiError> {
    // Decided before the database is asked: for another's tenant and for none, nothing differs.
    if caller.tenant.is_some_and(|own| own != id) {
        return Err(ApiError::NotFound);
    }
    let mut tx = state.database().tenant(&id).await?;
    let tenant = find_tenant(&mut tx).await?.ok_or(ApiError::NotFound)?;
    drop(tx);
    let view = view(&state, id, tenant.job_limits).await;
    Ok(([(header::ETAG, etag(tenant.version))], Json(view)))
}

/// Replaces a tenant's job limits. They hold from now on; lowering one ends no job.
#[utoipa::path(
    put,
    path = "/tenants/{id}/job-limits",
    tag = "operations",
    params(
        ("id" = TenantId, Path, description = "The tenant's slug."),
        ("If-Match" = Option<String>, Header, description = "The ETag of the tenant that is meant."),
    ),
    request_body = JobLimitsOrder,
    responses(
        (status = 200, description = "The limits in force.", body = JobLimitsView,
         headers(("ETag" = String, description = "Of the tenant: changes with every change of it."))),
        (status = 404, description = "No such tenant.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 412, description = "The tenant has changed since.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 422, description = "Values that cannot be accepted, or that the tenant's plan is too small for.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn put_job_limits(
    State(state): State<ApiState>,
    By(author): By,
    PathId(id): PathId<TenantId>,
    NoParameters: NoParameters,
    if_match: IfMatch,
    JsonBody { value: order, .. }: JsonBody<JobLimitsOrder>,
) -> Result<Shown, ApiError> {
    let own = order.accept(&state)?;
    let now = state.clock().now();
    let mut tx = state.database().operator().begin().await?;
    let tenant = lock_tenant(&mut tx, &id).await?.ok_or(ApiError::NotFound)?;
    if_match.check(tenant.version)?;
    check_against_plan(&own, tenant.plan)?;
    let (limits, status) = update_job_limits(&mut tx, &id, &own, now)
        .await?
        .ok_or(ApiError::NotFound)?;
    let deed = Deed::done(
        Action::JOB_LIMITS_UPDATE,
        AuditedObject::one("tenant", &id),
        json!(limits.limits),
    );
    record_for_platform(&mut tx, &author, Some(&id), &deed, now).await?;
    tx.commit().await?;
    announce_limits(state.gate(), &limits.clone().for_gate(status)).await;
    state.waiting_caps().forget(&id);
    let view = view(&state, id, limits.limits).await;
    Ok(([(header::ETAG, etag(limits.version))], Json(view)))
}

impl JobLimitsOrder {
    fn accept(self, state: &ApiState) -> Result<OwnJobLimits, ApiError> {
        let known: Vec<&str> = state.kinds().map(|kind| kind.name).collect();
        self.check(&known)?;
        let Self {
            max_concurrent,
            per_kind,
            weight,
            max_waiting,
        } = self;
        let kinds = per_kind.unwrap_or_default().into_iter();
        Ok(OwnJobLimits {
            max_concurrent: Some(narrow(max_concurrent)?),
            weight: weight.map(narrow).transpose()?,
            per_kind: kinds
                .map(|(kind, most)| Ok((kind, narrow(most)?)))
                .collect::<Result<_, ApiError>>()?,
            max_waiting: max_waiting.map(narrow).transpose()?,
        })
    }

    fn check(&self, known: &[&str]) -> Result<(), ApiError> {
        let mut violations = Violations::default();
        violations.range("/max_concurrent", self.max_concurrent, &MAX_CONCURRENT);
        if let Some(weight) = self.weight {
            violations.range("/weight", weight, &WEIGHT);
        }
        if let Some(most) = self.max_waiting {
            violations.range("/max_waiting", most, &MAX_WAITING);
        }
        for (kind, most) in self.per_kind.iter().flatten() {
            let pointer = format!("/per_kind/{}", escape_segment(kind));
            if known.contains(&kind.as_str()) {
                violations.range(&pointer, *most, &MAX_CONCURRENT);
            } else {
                violations.add(pointer, "unknown", "there is no kind of job of this name");
            }
        }
        violations.finish()
    }
}

/// What is asked for must not be above the most that the plan has.
fn check_against_plan(own: &OwnJobLimits, plan: Plan) -> Result<(), ApiError> {
    let most = plan.most_job_limits();
    let mut violations = Violations::default();
    let mut check = |pointer: &str, value: Option<i64>, most: u32| {
        if value.is_some_and(|value| value > i64::from(most)) {
            let detail = format!("must not be above {most} on the plan {}", plan.as_str());
            violations.add(pointer, "plan", &detail);
        }
    };
    check(
        "/max_concurrent",
        own.max_concurrent.map(i64::from),
        most.max_concurrent,
    );
    check("/weight", own.weight.map(i64::from), most.weight);
    check(
        "/max_waiting",
        own.max_waiting.map(i64::from),
        most.max_waiting,
    );
    for (kind, limit) in &own.per_kind {
        let pointer = format!("/per_kind/{}", escape_segment(kind));
        check(&pointer, Some(i64::from(*limit)), most.max_concurrent);
    }
    violations.finish()
}

/// A number that has passed its range check fits its column.
fn narrow<T: TryFrom<i64>>(value: i64) -> Result<T, ApiError> {
    T::try_from(value).map_err(|_| ApiError::Defect(format!("{value} passed its range check")))
}

async fn view(state: &ApiState, tenant_id: TenantId, limits: JobLimits) -> JobLimitsView {
    let counts = match count(state, &tenant_id).await {
        Ok(counts) => Some(counts),
        Err(error) => {
            tracing::warn!(error = chain(&error), "could not count a tenant's jobs");
            None
        }
    };
    JobLimitsView {
        tenant_id,
        limits,
        counts,
    }
}

async fn count(state: &ApiState, tenant: &TenantId) -> Result<JobCounts, GateError> {
    let mut counts = JobCounts {
        running: 0,
        waiting: 0,
    };
    for queue in queue_names() {
        let loads = state.gate().loads(queue, std::slice::from_ref(tenant));
        for load in loads.await? {
            // Each queue answers what runs over all of them.
            counts.running = counts.running.max(load.running);
            counts.waiting += load.waiting;
        }
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn faults(order: Value) -> Vec<(String, &'static str)> {
        let order: JobLimitsOrder = serde_json::from_value(order).unwrap();
        match order.check(&["known"]) {
            Err(ApiError::Invalid(errors)) => {
                errors.into_iter().map(|e| (e.pointer, e.code)).collect()
            }
            other => panic!("answered with {other:?}"),
        }
    }

    #[test]
    fn each_limit_has_its_range_and_each_kind_its_name() {
        for (order, pointer, code) in [
            (json!({ "max_concurrent": -1 }), "/max_concurrent", "range"),
            (
                json!({ "max_concurrent": 10_001 }),
                "/max_concurrent",
                "range",
            ),
            (
                json!({ "max_concurrent": 1, "weight": 0 }),
                "/weight",
                "range",
            ),
            (
                json!({ "max_concurrent": 1, "weight": 1001 }),
                "/weight",
                "range",
            ),
            (
                json!({ "max_concurrent": 1, "max_waiting": -1 }),
                "/max_waiting",
                "range",
            ),
            (
                json!({ "max_concurrent": 1, "per_kind": { "known": -1 } }),
                "/per_kind/known",
                "range",
            ),
            (
                json!({ "max_concurrent": 1, "per_kind": { "a/b": 1 } }),
                "/per_kind/a~1b",
                "unknown",
            ),
        ] {
            assert_eq!(
                faults(order.clone()),
                [(pointer.to_owned(), code)],
                "{order}"
            );
        }
        for good in [
            json!({ "max_concurrent": 0, "per_kind": { "known": 0 } }),
            json!({ "max_concurrent": 10_000, "weight": 1000, "max_waiting": 100_000_000 }),
        ] {
            let order: JobLimitsOrder = serde_json::from_value(good).unwrap();
            assert!(order.check(&["known"]).is_ok());
        }
    }

    #[test]
    fn no_limit_goes_above_the_plans_most() {
        let own = |most: i32, weight: i32, waiting: i32| OwnJobLimits {
            max_concurrent: Some(most),
            weight: Some(weight),
            per_kind: [("known".to_owned(), u32::try_from(most).unwrap())].into(),
            max_waiting: Some(waiting),
        };
        for (plan, most, weight, waiting) in [
            (Plan::Free, 500, 100, 1_000_000),
            (Plan::Pro, 2_000, 500, 10_000_000),
            (Plan::Enterprise, 10_000, 1_000, 100_000_000),
        ] {
            assert!(check_against_plan(&own(most, weight, waiting), plan).is_ok());
            match check_against_plan(&own(most + 1, weight + 1, waiting + 1), plan) {
                Err(ApiError::Invalid(errors)) => {
                    let places: Vec<&str> = errors.iter().map(|e| e.pointer.as_str()).collect();
                    let all = [
                        "/max_concurrent",
                        "/weight",
                        "/max_waiting",
                        "/per_kind/known",
                    ];
                    assert_eq!(places, all);
                }
                other => panic!("answered with {other:?}"),
            }
        }
        assert!(check_against_plan(&OwnJobLimits::default(), Plan::Free).is_ok());
    }
}
