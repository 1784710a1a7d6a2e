//! `POST /tenants/{id}/act-as`.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use unity_shared::{
    audit::{Action, AuditedObject, Author, Deed, record_for_platform},
    ids::{ActAsId, TenantId},
    tenancy::{
        ActAsActor, ActAsGrant, ActAsToken, NewActAs, Role, TenantStatus, insert_act_as,
        insert_platform_answer, lock_tenant,
    },
};

use crate::{
    audit::By,
    auth::{Actor, Caller},
    error::ApiError,
    extract::{Idempotency, IdempotentRequest, JsonBody, NoParameters, PathId, whole},
    openapi::TenantRole,
    problem::ProblemBody,
    resources::{
        repeat::{after_failure, find_before},
        tenants::Refused,
    },
    state::ApiState,
    violations::Violations,
};

/// What an administrator wants to do inside a tenant.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActAsOrder {
    /// Why. The tenant can read it.
    #[schema(min_length = 1, max_length = 500, format = "words")]
    reason: String,
    /// For how long.
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 60)]
    minutes: i64,
    /// As what: a role within the tenant.
    #[schema(value_type = TenantRole)]
    role: Role,
}

/// A grant that was just made, with the token that is shown this once.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ActAsBegun {
    #[serde(flatten)]
    grant: ActAsGrant,
    /// To be sent as `Authorization: Bearer`. Shown once; null in a replayed answer.
    #[schema(required)]
    token: Option<String>,
}

/// Lets the calling administrator act inside a tenant. The token's requests are the tenant's, in the
/// role that was asked for; each is told to the tenant and to the platform, with the reason.
#[utoipa::path(
    post,
    path = "/tenants/{id}/act-as",
    tag = "tenants",
    params(
        ("id" = TenantId, Path, description = "The tenant's slug."),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters."),
    ),
    request_body = ActAsOrder,
    responses(
        (status = 201, description = "The grant and its token.", body = ActAsBegun,
         headers(("Location" = String, description = "The tenant's grants."))),
        (status = 404, description = "No such tenant.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 409, description = "The tenant is not in use.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 422, description = "Values that cannot be accepted.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn begin_act_as(
    State(state): State<ApiState>,
    caller: Caller,
    By(author): By,
    PathId(id): PathId<TenantId>,
    NoParameters: NoParameters,
    idempotency: Idempotency,
    JsonBody { value: order, raw }: JsonBody<ActAsOrder>,
) -> Result<Response, ApiError> {
    // The route is the same for every tenant, so the request is told apart by the tenant too.
    let request = idempotency.request(&[id.as_str().as_bytes(), b"\n", &raw].concat());
    if let Some(before) = find_before(&state, request.as_ref()).await? {
        return Ok(before);
    }
    let new = order.accept(&state, &caller, &author, &id)?;
    match write(&state, &author, &new, request.as_ref()).await {
        Ok(()) => Ok(answer(&new)),
        Err(Refused::Api(error)) => Err(error),
        Err(Refused::Database(error)) => after_failure(&state, request.as_ref(), error).await,
    }
}

async fn write(
    state: &ApiState,
    author: &Author,
    new: &NewActAs,
    request: Option<&IdempotentRequest>,
) -> Result<(), Refused> {
    let grant = &new.grant;
    let mut tx = state.database().operator().begin().await?;
    let tenant = lock_tenant(&mut tx, &grant.tenant_id).await?;
    let status = tenant.ok_or(ApiError::NotFound)?.status;
    if status != TenantStatus::Active {
        let action = "acted in";
        return Err(ApiError::TenantState { status, action }.into());
    }
    insert_act_as(&mut tx, new).await?;
    if let Some(request) = request {
        let mut body = json!(grant);
        if let Some(fields) = body.as_object_mut() {
            fields.insert("token".to_owned(), Value::Null);
        }
        let recorded = request.answer(StatusCode::CREATED, Some(&address(grant)), body);
        insert_platform_answer(&mut tx, &request.key, &recorded, grant.created_at).await?;
    }
    let deed = Deed::done(
        Action::ACT_AS_BEGIN,
        AuditedObject::one("act_as", grant.id),
        json!({ "reason": grant.reason, "role": grant.role, "expires_at": grant.expires_at }),
    );
    let concerned = Some(&grant.tenant_id);
    record_for_platform(&mut tx, author, concerned, &deed, grant.created_at).await?;
    tx.commit().await?;
    Ok(())
}

fn answer(new: &NewActAs) -> Response {
    let location = [(header::LOCATION, address(&new.grant))];
    let begun = ActAsBegun {
        grant: new.grant.clone(),
        token: Some(new.token.reveal().to_owned()),
    };
    (StatusCode::CREATED, location, Json(begun)).into_response()
}

/// Where a tenant's grants are found.
fn address(grant: &ActAsGrant) -> String {
    format!("/api/v1/tenants/{}/act-as", grant.tenant_id)
}

impl ActAsOrder {
    fn accept(
        self,
        state: &ApiState,
        caller: &Caller,
        author: &Author,
        tenant: &TenantId,
    ) -> Result<NewActAs, ApiError> {
        self.check()?;
        let now = state.clock().now();
        let (actor, actor_id) = match &caller.actor {
            Actor::ApiKey { id } => (ActAsActor::ApiKey(*id), id.as_uuid()),
            Actor::User { id, session, .. } => (ActAsActor::User(*id, *session), id.as_uuid()),
        };
        Ok(NewActAs {
            grant: ActAsGrant {
                id: ActAsId::new(),
                tenant_id: tenant.clone(),
                actor_kind: author.actor.kind.as_str().to_owned(),
                actor_id,
                actor_display: author.actor.display.clone(),
                role: self.role,
                reason: self.reason,
                created_at: now,
                expires_at: now + TimeDelta::minutes(self.minutes),
                ended_at: None,
            },
            actor,
            token: ActAsToken::generate(tenant),
        })
    }

    fn check(&self) -> Result<(), ApiError> {
        let mut violations = Violations::default();
        violations.text("/reason", &self.reason, &(1..=500));
        if self.reason.trim().is_empty() {
            violations.add("/reason", "blank", "must not be blank");
        }
        violations.range("/minutes", self.minutes, &(1..=60));
        if self.role == Role::SystemAdmin {
            violations.add("/role", "range", "must be a role within a tenant");
        }
        violations.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_has_a_reason_an_end_and_a_role_within_the_tenant() {
        for (change, pointer, code) in [
            (json!({ "reason": " " }), "/reason", "blank"),
            (json!({ "reason": "r".repeat(501) }), "/reason", "length"),
            (json!({ "reason": "a\nb" }), "/reason", "characters"),
            (json!({ "minutes": 0 }), "/minutes", "range"),
            (json!({ "minutes": 61 }), "/minutes", "range"),
            (json!({ "role": "system-admin" }), "/role", "range"),
        ] {
            let mut order = json!({ "reason": "a ticket", "minutes": 5, "role": "viewer" });
            for (name, value) in change.as_object().unwrap() {
                order[name] = value.clone();
            }
            let order: ActAsOrder = serde_json::from_value(order).unwrap();
            match order.check() {
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
    }
}
