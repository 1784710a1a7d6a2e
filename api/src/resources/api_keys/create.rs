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
    db::TenantTx,
    ids::{ApiKeyId, TenantId},
    tenancy::{
        ApiKey, MOST_LIVE_KEYS, NewKey, StoredKey, count_live_keys, find_platform_answer,
        find_tenant_answer, insert_platform_answer, insert_platform_key, insert_tenant_answer,
        insert_tenant_key, lock_own_tenant,
    },
};

use super::order::KeyOrder;
use crate::{
    audit::By,
    auth::Caller,
    error::ApiError,
    extract::{Idempotency, IdempotentRequest, JsonBody, NoParameters},
    problem::ProblemBody,
    resources::tenants::Refused,
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
        (status = 429, description = "The tenant has 1000 keys that are in use, or a limit on calls is used up.",
         body = ProblemBody, content_type = "application/problem+json"),
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
        Err(Refused::Database(error)) if IdempotentRequest::lost_race(&error) => {
            find_before(&state, tenant, request.as_ref())
                .await?
                .ok_or_else(|| error.into())
        }
        Err(Refused::Database(error)) => Err(error.into()),
        // An equal request may have made the last key that there may be.
        Err(Refused::Api(error)) => find_before(&state, tenant, request.as_ref())
            .await?
            .ok_or(error),
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
) -> Result<KeyCreated, Refused> {
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
        leave_room(&mut tx, now).await?;
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

/// Refuses one key too many. The tenant's row is locked, so of two who want the last place one waits.
async fn leave_room(tx: &mut TenantTx, now: DateTime<Utc>) -> Result<(), Refused> {
    lock_own_tenant(tx).await?.ok_or(ApiError::NotFound)?;
    let used = count_live_keys(tx, now).await?;
    if used < MOST_LIVE_KEYS {
        return Ok(());
    }
    let full = ApiError::QuotaExceeded {
        name: "api_keys",
        limit: MOST_LIVE_KEYS,
        used,
    };
    Err(full.into())
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
