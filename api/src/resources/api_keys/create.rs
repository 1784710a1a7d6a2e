//! `POST /api-keys`.

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
    audit::{Action, AuditedObject, Author, Deed, record, record_for_platform},
    db::DbError,
    ids::{ApiKeyId, TenantId},
    tenancy::{
        ApiKey, NewKey, StoredKey, find_platform_answer, find_tenant_answer,
        insert_platform_answer, insert_platform_key, insert_tenant_answer, insert_tenant_key,
    },
};

use super::order::KeyOrder;
use crate::{
    audit::By,
    auth::Caller,
    error::ApiError,
    extract::{Idempotency, IdempotentRequest, JsonBody, NoParameters},
    problem::ProblemBody,
    state::ApiState,
};

/// A key that was just made.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct KeyCreated {
    /// What is kept of it.
    #[serde(flatten)]
    stored: StoredKey,
    /// The key itself. Shown once; null in a replayed answer.
    #[schema(required)]
    api_key: Option<String>,
}

/// Makes a key of the caller's tenant, or of the platform. The key itself is in this answer and nowhere
/// else.
#[utoipa::path(
    post,
    path = "/api-keys",
    tag = "api-keys",
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters.")),
    request_body = KeyOrder,
    responses(
        (status = 201, description = "Made.", body = KeyCreated,
         headers(("Location" = String, description = "The key."))),
        (status = 422, description = "Values that cannot be accepted.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn create_api_key(
    State(state): State<ApiState>,
    caller: Caller,
    By(author): By,
    NoParameters: NoParameters,
    idempotency: Idempotency,
    JsonBody { value: order, raw }: JsonBody<KeyOrder>,
) -> Result<Response, ApiError> {
    let request = idempotency.request(&raw);
    let tenant = caller.tenant.as_ref();
    if let Some(before) = find_before(&state, tenant, request.as_ref()).await? {
        return Ok(before);
    }
    let now = state.clock().now();
    let new = order.accept(&caller, now)?;
    let key = ApiKey::generate(tenant);
    let keys = (&new, &key);
    match write(&state, &author, tenant, keys, request.as_ref(), now).await {
        Ok(created) => {
            let location = [(header::LOCATION, address(new.id))];
            Ok((StatusCode::CREATED, location, Json(created)).into_response())
        }
        Err(error) if IdempotentRequest::lost_race(&error) => {
            find_before(&state, tenant, request.as_ref())
                .await?
                .ok_or_else(|| error.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Where a key is found.
fn address(id: ApiKeyId) -> String {
    format!("/api/v1/api-keys/{id}")
}

async fn find_before(
    state: &ApiState,
    tenant: Option<&TenantId>,
    request: Option<&IdempotentRequest>,
) -> Result<Option<Response>, ApiError> {
    let Some(request) = request else {
        return Ok(None);
    };
    let recorded = if let Some(tenant) = tenant {
        let mut tx = state.database().tenant(tenant).await?;
        find_tenant_answer(&mut tx, &request.key).await?
    } else {
        let mut tx = state.database().operator().statement().await?;
        find_platform_answer(&mut tx, &request.key).await?
    };
    recorded
        .map(|recorded| request.replay(recorded))
        .transpose()
}

/// The key, the answer to its order and the entry in the audit log are one commit.
async fn write(
    state: &ApiState,
    author: &Author,
    tenant: Option<&TenantId>,
    (new, key): (&NewKey, &ApiKey),
    request: Option<&IdempotentRequest>,
    now: DateTime<Utc>,
) -> Result<KeyCreated, DbError> {
    let created = |stored: StoredKey| KeyCreated {
        stored,
        api_key: Some(key.reveal().to_owned()),
    };
    let recorded = |created: &KeyCreated| {
        request.map(|request| {
            let location = address(new.id);
            let answer = request.answer(
                StatusCode::CREATED,
                Some(&location),
                created.without_secret(),
            );
            (request.key.as_str(), answer)
        })
    };
    if let Some(tenant) = tenant {
        let mut tx = state.database().tenant(tenant).await?;
        let created = created(insert_tenant_key(&mut tx, new, key, now).await?);
        if let Some((name, answer)) = recorded(&created) {
            insert_tenant_answer(&mut tx, name, &answer, now).await?;
        }
        record(&mut tx, author, &deed(&created.stored), now).await?;
        tx.commit().await?;
        Ok(created)
    } else {
        let mut tx = state.database().operator().begin().await?;
        let created = created(insert_platform_key(&mut tx, new, key, now).await?);
        if let Some((name, answer)) = recorded(&created) {
            insert_platform_answer(&mut tx, name, &answer, now).await?;
        }
        record_for_platform(&mut tx, author, None, &deed(&created.stored), now).await?;
        tx.commit().await?;
        Ok(created)
    }
}

fn deed(key: &StoredKey) -> Deed {
    Deed::done(
        Action::API_KEY_CREATE,
        AuditedObject::one("api_key", key.id),
        json!({
            "name": key.name, "role": key.role, "scopes": key.scopes, "expires_at": key.expires_at,
            "rate_limit_per_second": key.rate_limit_per_second,
        }),
    )
}

impl KeyCreated {
    /// What may be kept and sent again.
    fn without_secret(&self) -> Value {
        let mut body = json!(self);
        if let Some(place) = body.get_mut("api_key") {
            *place = Value::Null;
        }
        body
    }
}
