//! Reads entries and the heads of chains.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::{AuditActorKind, AuditResult, ChainHead, Hash};
use crate::db::{DbError, Operator, PlatformTx, TenantTx};

/// An entry as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditRow {
    /// The log: a tenant, or `platform`.
    pub tenant_id: String,
    /// Its place in the log: 1, 2, 3 ... without gaps.
    pub sequence: i64,
    /// When it happened, to the microsecond.
    pub at: DateTime<Utc>,
    /// What sort of actor did it.
    pub actor_kind: AuditActorKind,
    /// The actor's id; of a process of Unity, its name.
    pub actor_id: String,
    /// What people knew the actor by.
    pub actor_display: String,
    /// The grant under which an administrator acted in the tenant; null = in their own name.
    #[schema(required)]
    pub act_as: Option<Uuid>,
    /// What was done.
    pub action: String,
    /// The type of what it was done to.
    pub object_type: String,
    /// Its id; null where there are several, or none.
    #[schema(required)]
    pub object_id: Option<String>,
    /// The address that the request came from; null for processes of Unity.
    #[schema(required)]
    pub source_address: Option<String>,
    /// What the client called itself, shortened; null if it did not say.
    #[schema(required)]
    pub user_agent: Option<String>,
    /// The request; null for processes of Unity, and where several are told of at once.
    #[schema(required)]
    pub request_id: Option<Uuid>,
    /// How it ended.
    pub result: AuditResult,
    /// What else there is to know.
    #[schema(value_type = Object)]
    pub detail: Map<String, Value>,
    /// The hash of the entry before, as 64 hexadecimal digits; 64 zeros for the first.
    #[schema(value_type = String)]
    pub previous_hash: Hash,
    /// SHA-256 over all of this but itself, as 64 hexadecimal digits.
    #[schema(value_type = String)]
    pub hash: Hash,
}

/// Which entries. What is absent does not matter.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only this action.
    pub action: Option<String>,
    /// Only of the actor with this id.
    pub actor: Option<String>,
    /// Only of the object with this id, also where it is one of several.
    pub object: Option<String>,
    /// Only objects of this type.
    pub object_type: Option<String>,
    /// Only this result.
    pub result: Option<AuditResult>,
    /// Only at this instant or later.
    pub from: Option<DateTime<Utc>>,
    /// Only before this instant.
    pub to: Option<DateTime<Utc>>,
    /// Only entries before this place; absent = from the last.
    pub before: Option<i64>,
    /// Most entries.
    pub limit: i64,
}

/// Entries of the transaction's tenant, from the last to the first.
pub async fn list_audit_log(
    tx: &mut TenantTx,
    filter: &AuditFilter,
) -> Result<Vec<AuditRow>, DbError> {
    let tenant = tx.tenant().clone();
    select(tx.connection(), tenant.as_str(), filter).await
}

/// Entries of any chain from the last to the first, for a system administrator.
pub async fn list_platform_audit_log(
    tx: &mut PlatformTx<Operator>,
    chain: &str,
    filter: &AuditFilter,
) -> Result<Vec<AuditRow>, DbError> {
    select(tx.connection(), chain, filter).await
}

/// The last entry of the tenant's chain; the one before the first if there is none.
pub async fn find_audit_head(tx: &mut TenantTx) -> Result<ChainHead, DbError> {
    let tenant = tx.tenant().clone();
    select_head(tx.connection(), tenant.as_str()).await
}

/// The last entry of any chain, for a system administrator.
pub async fn find_platform_audit_head(
    tx: &mut PlatformTx<Operator>,
    chain: &str,
) -> Result<ChainHead, DbError> {
    select_head(tx.connection(), chain).await
}

/// Every chain that has, or had, an entry, in the order of their names.
pub async fn list_audit_chains(tx: &mut PlatformTx<Operator>) -> Result<Vec<String>, DbError> {
    let chains = sqlx::query_scalar!(
        r#"SELECT tenant_id AS "tenant_id!" FROM audit_heads
           UNION SELECT tenant_id FROM audit_log ORDER BY 1"#
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(chains)
}

async fn select_head(connection: &mut PgConnection, chain: &str) -> Result<ChainHead, DbError> {
    let head = sqlx::query!(
        "SELECT sequence, hash FROM audit_heads WHERE tenant_id = $1",
        chain
    )
    .fetch_optional(connection)
    .await?;
    Ok(head.map_or_else(ChainHead::default, |head| ChainHead {
        sequence: head.sequence,
        hash: Hash::from_bytes(&head.hash),
    }))
}

async fn select(
    connection: &mut PgConnection,
    chain: &str,
    filter: &AuditFilter,
) -> Result<Vec<AuditRow>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT tenant_id, sequence, at, actor_kind AS "actor_kind: AuditActorKind", actor_id, actor_display, act_as,
                  action, object_type, object_id, host(source_address) AS source_address, user_agent, request_id,
                  result AS "result: AuditResult", detail AS "detail: Json<Map<String, Value>>", previous_hash, hash
           FROM audit_log
           WHERE tenant_id = $1
             AND ($2::text IS NULL OR action = $2)
             AND ($3::text IS NULL OR actor_id = $3)
             AND ($4::text IS NULL OR object_id = $4 OR (object_id IS NULL AND detail -> 'ids' ? $4))
             AND ($5::text IS NULL OR object_type = $5)
             AND ($6::text IS NULL OR result = $6)
             AND ($7::timestamptz IS NULL OR at >= $7)
             AND ($8::timestamptz IS NULL OR at < $8)
             AND sequence < coalesce($9, 9223372036854775807)
           ORDER BY sequence DESC
           LIMIT $10"#,
        chain,
        filter.action,
        filter.actor,
        filter.object,
        filter.object_type,
        filter.result.map(AuditResult::as_str),
        filter.from,
        filter.to,
        filter.before,
        filter.limit,
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|row| AuditRow {
        tenant_id: row.tenant_id,
        sequence: row.sequence,
        at: row.at,
        actor_kind: row.actor_kind,
        actor_id: row.actor_id,
        actor_display: row.actor_display,
        act_as: row.act_as,
        action: row.action,
        object_type: row.object_type,
        object_id: row.object_id,
        source_address: row.source_address,
        user_agent: row.user_agent,
        request_id: row.request_id,
        result: row.result,
        detail: row.detail.0,
        previous_hash: Hash::from_bytes(&row.previous_hash),
        hash: Hash::from_bytes(&row.hash),
    });
    Ok(rows.collect())
}
