//! Answers that are kept so that a repeated request gets them again.
//!
//! The record is written in the transaction of the effect: both are there or neither. Two equal
//! requests at once both find nothing; the later one waits at the primary key
//! `idempotency_keys_pkey` until the first has committed, is refused there, and then finds it.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use crate::db::{DbError, Operator, PlatformTx, TenantTx};

/// A system administrator's answers are kept under this slug, which no tenant can have.
const PLATFORM: &str = "platform";

/// What a request with an idempotency key was answered.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedAnswer {
    /// SHA-256 of the request: the same key with another request is refused.
    pub fingerprint: Vec<u8>,
    /// HTTP status.
    pub status: i16,
    /// The `Location` header; absent if there was none.
    pub location: Option<String>,
    /// The body, without its one-time secrets.
    pub response: Value,
}

/// The answer that the transaction's tenant got under this key.
pub async fn find_tenant_answer(
    tx: &mut TenantTx,
    key: &str,
) -> Result<Option<RecordedAnswer>, DbError> {
    let tenant = tx.tenant().clone();
    select_answer(tx.connection(), tenant.as_str(), key).await
}

/// The answer that a system administrator got under this key.
pub async fn find_platform_answer(
    tx: &mut PlatformTx<Operator>,
    key: &str,
) -> Result<Option<RecordedAnswer>, DbError> {
    select_answer(tx.connection(), PLATFORM, key).await
}

/// Keeps an answer of the transaction's tenant. A key that is taken violates
/// `idempotency_keys_pkey`.
pub async fn insert_tenant_answer(
    tx: &mut TenantTx,
    key: &str,
    answer: &RecordedAnswer,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let tenant = tx.tenant().clone();
    insert_answer(tx.connection(), tenant.as_str(), key, answer, now).await
}

/// Keeps an answer of a system administrator. A key that is taken violates
/// `idempotency_keys_pkey`.
pub async fn insert_platform_answer(
    tx: &mut PlatformTx<Operator>,
    key: &str,
    answer: &RecordedAnswer,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    insert_answer(tx.connection(), PLATFORM, key, answer, now).await
}

async fn select_answer(
    connection: &mut PgConnection,
    owner: &str,
    key: &str,
) -> Result<Option<RecordedAnswer>, DbError> {
    let answer = sqlx::query_as!(
        RecordedAnswer,
        "SELECT fingerprint, status, location, response FROM idempotency_keys
         WHERE tenant_id = $1 AND key = $2",
        owner,
        key,
    )
    .fetch_optional(connection)
    .await?;
    Ok(answer)
}

async fn insert_answer(
    connection: &mut PgConnection,
    owner: &str,
    key: &str,
    answer: &RecordedAnswer,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        "INSERT INTO idempotency_keys (tenant_id, key, fingerprint, status, location, response, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        owner,
        key,
        answer.fingerprint,
        answer.status,
        answer.location,
        answer.response,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}
