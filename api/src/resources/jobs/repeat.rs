//! Requests that come again: the answer of the first is kept in its transaction.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use chrono::{DateTime, Utc};
use unity_shared::{
    db::TenantTx,
    ids::TenantId,
    tenancy::{RecordedAnswer, find_tenant_answer, insert_tenant_answer},
};

use crate::{error::ApiError, extract::IdempotentRequest, state::ApiState};

/// When a client should first look how its job is doing, in seconds.
pub const LOOK_AFTER: HeaderValue = HeaderValue::from_static("1");

/// The answer of the same request before, if there was one.
pub async fn find_before(
    tx: &mut TenantTx,
    request: Option<&IdempotentRequest>,
) -> Result<Option<Response>, ApiError> {
    let Some(request) = request else {
        return Ok(None);
    };
    let recorded = find_tenant_answer(tx, &request.key).await?;
    recorded
        .map(|recorded| replay(request, recorded))
        .transpose()
}

/// Keeps the answer for a repetition of the request, if the caller gave it a key.
pub async fn keep(
    tx: &mut TenantTx,
    request: Option<&IdempotentRequest>,
    answer: impl FnOnce(&IdempotentRequest) -> RecordedAnswer,
    now: DateTime<Utc>,
) -> Result<(), ApiError> {
    if let Some(request) = request {
        insert_tenant_answer(tx, &request.key, &answer(request), now).await?;
    }
    Ok(())
}

/// The answer of an equal request that came before, in place of a refusal: what stood in no way then
/// may do so now, or the two met and the other was first by a hair.
pub async fn or_before(
    state: &ApiState,
    tenant: &TenantId,
    request: Option<&IdempotentRequest>,
    error: ApiError,
) -> Result<Response, ApiError> {
    let lost = matches!(&error, ApiError::Database(inner) if IdempotentRequest::lost_race(inner));
    if request.is_none() || !(lost || error.is_refusal()) {
        return Err(error);
    }
    before_or(state, tenant, request, error).await
}

/// The answer of the request that had the key, or has it at the same time.
pub async fn repeat(
    state: &ApiState,
    tenant: &TenantId,
    request: Option<&IdempotentRequest>,
) -> Result<Response, ApiError> {
    // There is none if the other was not written after all.
    before_or(state, tenant, request, ApiError::Busy).await
}

async fn before_or(
    state: &ApiState,
    tenant: &TenantId,
    request: Option<&IdempotentRequest>,
    error: ApiError,
) -> Result<Response, ApiError> {
    let mut tx = state.database().tenant(tenant).await?;
    find_before(&mut tx, request).await?.ok_or(error)
}

fn replay(request: &IdempotentRequest, recorded: RecordedAnswer) -> Result<Response, ApiError> {
    let mut response = request.replay(recorded)?;
    if response.status() == StatusCode::ACCEPTED {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, LOOK_AFTER);
    }
    Ok(response)
}
