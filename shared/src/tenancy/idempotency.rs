//! Answers that are kept so that a repeated request gets them again.
//!
//! The record is written in the transaction of the effect: both are there or neither. Two equal
//! requests at once both find nothing; the later one waits at the primary key
//! `idempotency_keys_pkey` until the first has committed, is refused there (or, where many are written
//! together, passed over), and then finds it.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use crate::{
    db::{DbError, Engine, Operator, PlatformTx, TenantTx},
    ids::TenantId,
};

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

/// Keeps answers of any tenants, each under its key unless that is taken, and answers the keys under which they
/// were kept. Give each key of a tenant once.
pub async fn insert_answers(
    tx: &mut PlatformTx<Engine>,
    answers: &[(&TenantId, &str, RecordedAnswer)],
    now: DateTime<Utc>,
) -> Result<HashSet<(TenantId, String)>, DbError> {
    // Of two statements with the same keys each waits for the other if they come in another order.
    let mut answers: Vec<_> = answers.iter().collect();
    answers.sort_unstable_by_key(|(tenant, key, _)| (*tenant, *key));
    macro_rules! column {
        (|$answer:ident| $value:expr) => {
            answers
                .iter()
                .map(|(_, _, $answer)| $value)
                .collect::<Vec<_>>()
        };
    }
    let tenants: Vec<&str> = answers
        .iter()
        .map(|(tenant, _, _)| tenant.as_str())
        .collect();
    let keys: Vec<&str> = answers.iter().map(|(_, key, _)| *key).collect();
    let kept = sqlx::query!(
        r#"INSERT INTO idempotency_keys (tenant_id, key, fingerprint, status, location, response, created_at)
           SELECT tenant_id, key, fingerprint, status, location, response, $7
           FROM unnest($1::text[], $2::text[], $3::bytea[], $4::smallint[], $5::text[], $6::jsonb[])
                AS new (tenant_id, key, fingerprint, status, location, response)
           ON CONFLICT (tenant_id, key) DO NOTHING
           RETURNING tenant_id AS "tenant_id: TenantId", key"#,
        &tenants as &[&str],
        &keys as &[&str],
        &column!(|answer| answer.fingerprint.as_slice()) as &[&[u8]],
        &column!(|answer| answer.status),
        &column!(|answer| answer.location.as_deref()) as &[Option<&str>],
        &column!(|answer| &answer.response) as &[&Value],
        now,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(kept
        .into_iter()
        .map(|row| (row.tenant_id, row.key))
        .collect())
}

/// Takes answers back that the same transaction has kept.
pub async fn delete_answers(
    tx: &mut PlatformTx<Engine>,
    keys: &[(&TenantId, &str)],
) -> Result<(), DbError> {
    let tenants: Vec<&str> = keys.iter().map(|(tenant, _)| tenant.as_str()).collect();
    let keys: Vec<&str> = keys.iter().map(|(_, key)| *key).collect();
    sqlx::query!(
        "DELETE FROM idempotency_keys AS kept
         USING unnest($1::text[], $2::text[]) AS gone (tenant_id, key)
         WHERE kept.tenant_id = gone.tenant_id AND kept.key = gone.key",
        &tenants as &[&str],
        &keys as &[&str],
    )
    .execute(tx.connection())
    .await?;
    Ok(())
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
