//! `POST /switches`.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::json;
use unity_shared::{
    audit::{Action, AuditedObject, Author, Deed, record_for_platform},
    db::DbError,
    ids::{SwitchId, TenantId},
    jobs::{Switch, SwitchAction, SwitchScope, insert_switch},
    tenancy::{find_tenant, insert_platform_answer},
};

use super::tell_gate;
use crate::{
    audit::By,
    error::ApiError,
    extract::{Idempotency, IdempotentRequest, JsonBody, NoParameters, Object},
    problem::ProblemBody,
    resources::{
        refuse_gone_status,
        repeat::{after_failure, find_before},
    },
    state::ApiState,
    violations::Violations,
};

/// A switch to be put on.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SwitchOrder {
    /// Which jobs it concerns.
    #[schema(value_type = ScopeOrder)]
    scope: Object<ScopeOrder>,
    /// What it does to them.
    action: SwitchAction,
    /// Why. The tenants that it concerns can read it.
    #[schema(min_length = 1, max_length = 500, format = "words")]
    reason: String,
    /// When it goes off by itself: in the future, at most a year ahead.
    expires_at: DateTime<Utc>,
}

/// Which jobs a switch concerns. At least one of the two is stated.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(min_properties = 1)]
struct ScopeOrder {
    /// Jobs of this tenant; absent = of every tenant.
    #[schema(value_type = Option<TenantId>)]
    tenant: Option<String>,
    /// Jobs of this kind; absent = of every kind.
    #[schema(min_length = 1, max_length = 200, format = "line")]
    kind: Option<String>,
}

/// The constraint that an unknown tenant violates.
const TENANT_CONSTRAINT: &str = "switches_tenant_id_fkey";
const LONGEST: TimeDelta = TimeDelta::days(366);

/// Puts a switch on. It takes effect at once.
#[utoipa::path(
    post,
    path = "/switches",
    tag = "operations",
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters.")),
    request_body = SwitchOrder,
    responses(
        (status = 201, description = "It is on.", body = Switch,
         headers(("Location" = String, description = "The switch."))),
        (status = 409, description = "The tenant is deleted.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 422, description = "Values that cannot be accepted.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn create_switch(
    State(state): State<ApiState>,
    By(author): By,
    NoParameters: NoParameters,
    idempotency: Idempotency,
    JsonBody { value: order, raw }: JsonBody<SwitchOrder>,
) -> Result<Response, ApiError> {
    let request = idempotency.request(&raw);
    if let Some(before) = find_before(&state, request.as_ref()).await? {
        return Ok(before);
    }
    let switch = order.accept(&state)?;
    if let Some(tenant) = &switch.scope.tenant {
        let mut tx = state.database().tenant(tenant).await?;
        let tenant = find_tenant(&mut tx).await?.ok_or_else(unknown_tenant)?;
        refuse_gone_status(tenant.status)?;
    }
    match write(&state, &author, &switch, request.as_ref()).await {
        Ok(()) => {
            tell_gate(&state).await;
            let location = [(header::LOCATION, address(switch.id))];
            Ok((StatusCode::CREATED, location, Json(switch)).into_response())
        }
        Err(error) if error.constraint() == Some(TENANT_CONSTRAINT) => Err(unknown_tenant()),
        Err(error) => after_failure(&state, request.as_ref(), error).await,
    }
}

/// Where a switch is found.
fn address(id: SwitchId) -> String {
    format!("/api/v1/switches/{id}")
}

async fn write(
    state: &ApiState,
    author: &Author,
    switch: &Switch,
    request: Option<&IdempotentRequest>,
) -> Result<(), DbError> {
    let mut tx = state.database().operator().begin().await?;
    insert_switch(&mut tx, switch).await?;
    if let Some(request) = request {
        let location = address(switch.id);
        let recorded = request.answer(StatusCode::CREATED, Some(&location), json!(switch));
        insert_platform_answer(&mut tx, &request.key, &recorded, switch.created_at).await?;
    }
    let deed = Deed::done(
        Action::SWITCH_CREATE,
        AuditedObject::one("switch", switch.id),
        json!({
            "scope": switch.scope, "action": switch.action, "reason": switch.reason,
            "expires_at": switch.expires_at,
        }),
    );
    let concerned = switch.scope.tenant.as_ref();
    record_for_platform(&mut tx, author, concerned, &deed, switch.created_at).await?;
    tx.commit().await
}

impl SwitchOrder {
    fn accept(self, state: &ApiState) -> Result<Switch, ApiError> {
        let known: Vec<&str> = state.kinds().map(|kind| kind.name).collect();
        self.accept_at(&known, state.clock().now())
    }

    fn accept_at(self, known: &[&str], now: DateTime<Utc>) -> Result<Switch, ApiError> {
        let Self {
            scope: Object(ScopeOrder { tenant, kind }),
            action,
            reason,
            expires_at,
        } = self;
        let mut violations = Violations::default();
        if tenant.is_none() && kind.is_none() {
            violations.add("/scope", "empty", "must state a tenant, a kind, or both");
        }
        if kind.as_deref().is_some_and(|kind| !known.contains(&kind)) {
            violations.add(
                "/scope/kind",
                "unknown",
                "there is no kind of job of this name",
            );
        }
        violations.text("/reason", &reason, &(1..=500));
        if reason.trim().is_empty() {
            violations.add("/reason", "blank", "must not be blank");
        }
        if expires_at <= now || expires_at > now + LONGEST {
            let detail = "must be in the future, at most a year ahead";
            violations.add("/expires_at", "range", detail);
        }
        violations.finish()?;
        // What no tenant can be called is the name of none.
        let tenant = tenant
            .map(|text| TenantId::parse(&text).map_err(|_| unknown_tenant()))
            .transpose()?;
        Ok(Switch {
            id: SwitchId::new(),
            scope: SwitchScope { tenant, kind },
            action,
            reason,
            created_at: now,
            expires_at: DateTime::from_timestamp_micros(expires_at.timestamp_micros())
                .unwrap_or(expires_at),
        })
    }
}

fn unknown_tenant() -> ApiError {
    let mut violations = Violations::default();
    violations.add("/scope/tenant", "unknown", "there is no tenant of this id");
    match violations.finish() {
        Err(refusal) => refusal,
        Ok(()) => ApiError::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn accept(change: &Value) -> Result<Switch, ApiError> {
        let mut order = json!({
            "scope": { "kind": "known" }, "action": "pause", "reason": "too hot",
            "expires_at": "2026-11-23T11:00:00Z",
        });
        for (name, value) in change.as_object().unwrap() {
            order[name] = value.clone();
        }
        let now = "2026-11-23T10:00:00Z".parse().unwrap();
        serde_json::from_value::<SwitchOrder>(order)
            .unwrap()
            .accept_at(&["known"], now)
    }

    #[test]
    fn a_switch_has_a_scope_a_reason_and_an_end() {
        for (change, pointer, code) in [
            (json!({ "scope": {} }), "/scope", "empty"),
            (
                json!({ "scope": { "kind": "unknown" } }),
                "/scope/kind",
                "unknown",
            ),
            (
                json!({ "scope": { "tenant": "No Tenant" } }),
                "/scope/tenant",
                "unknown",
            ),
            (json!({ "reason": " " }), "/reason", "blank"),
            (json!({ "reason": "r".repeat(501) }), "/reason", "length"),
            (
                json!({ "expires_at": "2026-11-23T10:00:00Z" }),
                "/expires_at",
                "range",
            ),
            (
                json!({ "expires_at": "2027-11-25T10:00:00Z" }),
                "/expires_at",
                "range",
            ),
            (
                json!({ "expires_at": "+262000-01-01T00:00:00Z" }),
                "/expires_at",
                "range",
            ),
        ] {
            match accept(&change) {
                Err(ApiError::Invalid(errors)) => {
                    let found: Vec<_> = errors
                        .iter()
                        .map(|e| (e.pointer.as_str(), e.code))
                        .collect();
                    assert_eq!(found, [(pointer, code)], "{change}");
                }
                other => panic!("{change} was answered with {other:?}"),
            }
        }
        assert!(accept(&json!({})).is_ok());
        assert!(accept(&json!({ "scope": { "tenant": "acme" } })).is_ok());
    }
}
