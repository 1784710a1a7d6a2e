//! Switches: an operator stops part of the traffic, with a reason and an end.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    db::{DbError, Engine, Operator, PlatformTx, TenantTx},
    ids::{SwitchId, TenantId},
};

/// What a switch does to its scope. Neither touches what runs.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum SwitchAction {
    /// Jobs are taken in and wait; none starts until the switch is off.
    Pause,
    /// No job is taken in; what waits is carried out, until nothing is left.
    Drain,
}

/// Which jobs a switch concerns. At least one of the two is stated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SwitchScope {
    /// Jobs of this tenant; absent = of every tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// Jobs of this kind; absent = of every kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// A switch that is on.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Switch {
    /// The switch.
    pub id: SwitchId,
    /// Which jobs it concerns.
    pub scope: SwitchScope,
    /// What it does to them.
    pub action: SwitchAction,
    /// Why, in the operator's words, 1 to 500 characters. The tenants that it concerns can read it.
    pub reason: String,
    /// When it was put on.
    pub created_at: DateTime<Utc>,
    /// When it goes off by itself.
    pub expires_at: DateTime<Utc>,
}

/// The switches that were on at one moment.
#[derive(Debug, Clone)]
pub struct SwitchSet {
    /// Rises with each switch that is put on or taken off, so of two readings it tells which is the
    /// later. It does not change when one goes off by itself.
    pub version: i64,
    /// The switches.
    pub switches: Vec<Switch>,
}

/// Puts a switch on. An unknown tenant violates `switches_tenant_id_fkey`.
pub async fn insert_switch(tx: &mut PlatformTx<Operator>, switch: &Switch) -> Result<(), DbError> {
    let Switch {
        id,
        scope,
        action,
        reason,
        created_at,
        expires_at,
    } = switch;
    sqlx::query!(
        "INSERT INTO switches (id, tenant_id, kind, action, reason, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        id.as_uuid(),
        scope.tenant.as_ref().map(TenantId::as_str),
        scope.kind,
        *action as _,
        reason,
        created_at,
        expires_at,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Takes a switch off. Answers what it concerned; absent = it was not on.
pub async fn end_switch(
    tx: &mut PlatformTx<Operator>,
    id: SwitchId,
    now: DateTime<Utc>,
) -> Result<Option<SwitchScope>, DbError> {
    let scope = sqlx::query_as!(
        SwitchScope,
        r#"UPDATE switches SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL AND expires_at > $2
           RETURNING tenant_id AS "tenant: TenantId", kind"#,
        id.as_uuid(),
        now,
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(scope)
}

/// Every switch that is on, for admission. There are few: each was put on by hand.
///
/// No switch's row is ever removed, so those that were ever put on and those that were taken off,
/// counted together, make a version; it is read in the same statement, and so of the same moment.
pub async fn select_switches(
    tx: &mut PlatformTx<Engine>,
    now: DateTime<Utc>,
) -> Result<SwitchSet, DbError> {
    let rows = sqlx::query!(
        r#"SELECT changes.version AS "version!", live.id AS "id?: SwitchId", live.tenant_id AS "tenant?: TenantId",
                  live.kind AS "kind?", live.action AS "action?: SwitchAction", live.reason AS "reason?",
                  live.created_at AS "created_at?", live.expires_at AS "expires_at?"
           FROM (SELECT count(*) + count(ended_at) AS version FROM switches) AS changes
           LEFT JOIN switches AS live ON live.ended_at IS NULL AND live.expires_at > $1
           ORDER BY live.id"#,
        now,
    )
    .fetch_all(tx.connection())
    .await?;
    let version = rows.first().map_or(0, |row| row.version);
    let switches = rows.into_iter().filter_map(|row| {
        Some(Switch {
            id: row.id?,
            scope: SwitchScope {
                tenant: row.tenant,
                kind: row.kind,
            },
            action: row.action?,
            reason: row.reason?,
            created_at: row.created_at?,
            expires_at: row.expires_at?,
        })
    });
    Ok(SwitchSet {
        version,
        switches: switches.collect(),
    })
}

/// Every switch that is on, for operators.
pub async fn list_switches(
    tx: &mut PlatformTx<Operator>,
    now: DateTime<Utc>,
) -> Result<Vec<Switch>, DbError> {
    select_live(tx.connection(), now).await
}

/// The switches that concern the transaction's tenant.
pub async fn list_own_switches(
    tx: &mut TenantTx,
    now: DateTime<Utc>,
) -> Result<Vec<Switch>, DbError> {
    select_live(tx.connection(), now).await
}

async fn select_live(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
) -> Result<Vec<Switch>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: Uuid", tenant_id AS "tenant: TenantId", kind, action AS "action: SwitchAction",
                  reason, created_at, expires_at
           FROM switches
           WHERE ended_at IS NULL AND expires_at > $1
           ORDER BY id"#,
        now,
    )
    .fetch_all(connection)
    .await?;
    let switches = rows.into_iter().map(|row| Switch {
        id: row.id.into(),
        scope: SwitchScope {
            tenant: row.tenant,
            kind: row.kind,
        },
        action: row.action,
        reason: row.reason,
        created_at: row.created_at,
        expires_at: row.expires_at,
    });
    Ok(switches.collect())
}
