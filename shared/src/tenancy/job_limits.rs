//! How many jobs of a tenant run and wait, and how large its share of a busy fleet is.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;

use super::{Plan, TenantStatus};
use crate::{
    db::{DbError, Engine, Operator, PlatformTx},
    ids::TenantId,
    queue::ShardId,
};

/// The limits in force for a tenant: its own values, its plan's where it has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct JobLimits {
    /// Most jobs that run at the same time over all kinds and queues, 0 to 10 000. 0 holds every
    /// job back.
    pub max_concurrent: u32,
    /// Share of the fleet against other tenants with waiting jobs, 1 to 1000.
    pub weight: u32,
    /// Most jobs of a kind that run at the same time; a kind that is not named has no limit of its
    /// own.
    pub per_kind: BTreeMap<String, u32>,
    /// Most jobs that wait at the same time (scheduled, queued or retrying).
    pub max_waiting: u32,
}

/// A tenant's limits as its row had them at a version. The version rises with each change, so of two
/// readings it tells which is the later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitsAt {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The version of its row, at least 1.
    pub version: i64,
    /// The limits in force.
    pub limits: JobLimits,
}

/// What a tenant agreed on besides its plan. Absent = the plan's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnJobLimits {
    /// See [`JobLimits::max_concurrent`].
    pub max_concurrent: Option<i32>,
    /// See [`JobLimits::weight`].
    pub weight: Option<i32>,
    /// See [`JobLimits::per_kind`].
    pub per_kind: BTreeMap<String, u32>,
    /// See [`JobLimits::max_waiting`].
    pub max_waiting: Option<i32>,
}

impl JobLimits {
    /// The same as the gate is to keep them for a tenant in this state: one that is not in use runs
    /// nothing, and what waits is held.
    #[must_use]
    pub fn for_gate(self, status: TenantStatus) -> Self {
        let max_concurrent = if status.in_use() {
            self.max_concurrent
        } else {
            0
        };
        Self {
            max_concurrent,
            ..self
        }
    }
}

impl LimitsAt {
    /// See [`JobLimits::for_gate`].
    #[must_use]
    pub fn for_gate(self, status: TenantStatus) -> Self {
        Self {
            limits: self.limits.for_gate(status),
            ..self
        }
    }
}

impl OwnJobLimits {
    /// The limits in force on this plan.
    #[must_use]
    pub fn or(self, plan: Plan) -> JobLimits {
        let defaults = plan.default_job_limits();
        let own = |value: Option<i32>, default| {
            value
                .and_then(|value| u32::try_from(value).ok())
                .unwrap_or(default)
        };
        JobLimits {
            max_concurrent: own(self.max_concurrent, defaults.max_concurrent),
            weight: own(self.weight, defaults.weight),
            per_kind: self.per_kind,
            max_waiting: own(self.max_waiting, defaults.max_waiting),
        }
    }
}

/// Sets what a tenant agreed on, as a whole, and answers the limits that hold from now on and the
/// tenant's state; `None` if there is no such tenant, or not any more.
pub async fn update_job_limits(
    tx: &mut PlatformTx<Operator>,
    tenant: &TenantId,
    limits: &OwnJobLimits,
    now: DateTime<Utc>,
) -> Result<Option<(LimitsAt, TenantStatus)>, DbError> {
    let row = sqlx::query!(
        r#"UPDATE tenants
           SET max_concurrent = $2, weight = $3, per_kind = $4, max_waiting = $5,
               version = version + 1, updated_at = $6
           WHERE id = $1 AND status NOT IN ('purging', 'purged')
           RETURNING plan AS "plan: Plan", version, status AS "status: TenantStatus""#,
        tenant.as_str(),
        limits.max_concurrent,
        limits.weight,
        Json(&limits.per_kind) as _,
        limits.max_waiting,
        now,
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(row.map(|row| {
        let limits = LimitsAt {
            tenant_id: tenant.clone(),
            version: row.version,
            limits: limits.clone().or(row.plan),
        };
        (limits, row.status)
    }))
}

/// Job limits of these tenants, for operators; one that does not exist is left out.
pub async fn list_job_limits(
    tx: &mut PlatformTx<Operator>,
    tenants: &[TenantId],
) -> Result<Vec<(TenantId, JobLimits)>, DbError> {
    let tenants: Vec<String> = tenants.iter().map(TenantId::to_string).collect();
    let rows = sqlx::query_as!(
        LimitsRow,
        r#"SELECT id AS "id: TenantId", version, plan AS "plan: Plan", status AS "status: TenantStatus",
                  max_concurrent, weight, max_waiting, per_kind AS "per_kind: Json<BTreeMap<String, u32>>"
           FROM tenants
           WHERE id = ANY($1)"#,
        &tenants,
    )
    .fetch_all(tx.connection())
    .await?;
    let limits = rows.into_iter().map(LimitsRow::limits);
    Ok(limits.map(|at| (at.tenant_id, at.limits)).collect())
}

/// What the gate is to keep of the limits of a shard's tenants after the given one, by slug. One that
/// is being purged, or was, has none.
pub async fn select_job_limits_page(
    tx: &mut PlatformTx<Engine>,
    shard: ShardId,
    after: Option<&TenantId>,
    limit: i64,
) -> Result<Vec<LimitsAt>, DbError> {
    let rows = sqlx::query_as!(
        LimitsRow,
        r#"SELECT id AS "id: TenantId", version, plan AS "plan: Plan", status AS "status: TenantStatus",
                  max_concurrent, weight, max_waiting, per_kind AS "per_kind: Json<BTreeMap<String, u32>>"
           FROM tenants
           WHERE shard = $1 AND ($2::text IS NULL OR id > $2) AND status NOT IN ('purging', 'purged')
           ORDER BY id LIMIT $3"#,
        shard.0,
        after.map(TenantId::as_str),
        limit,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows.into_iter().map(LimitsRow::for_gate).collect())
}

/// The same of tenants that have changed since an instant, in no order, at most `limit` of them.
pub async fn select_changed_job_limits(
    tx: &mut PlatformTx<Engine>,
    shard: ShardId,
    since: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<LimitsAt>, DbError> {
    let rows = sqlx::query_as!(
        LimitsRow,
        r#"SELECT id AS "id: TenantId", version, plan AS "plan: Plan", status AS "status: TenantStatus",
                  max_concurrent, weight, max_waiting, per_kind AS "per_kind: Json<BTreeMap<String, u32>>"
           FROM tenants
           WHERE updated_at > $2 AND shard = $1 AND status NOT IN ('purging', 'purged')
           ORDER BY updated_at DESC LIMIT $3"#,
        shard.0,
        since,
        limit,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows.into_iter().map(LimitsRow::for_gate).collect())
}

struct LimitsRow {
    id: TenantId,
    version: i64,
    plan: Plan,
    status: TenantStatus,
    max_concurrent: Option<i32>,
    weight: Option<i32>,
    max_waiting: Option<i32>,
    per_kind: Json<BTreeMap<String, u32>>,
}

impl LimitsRow {
    fn limits(self) -> LimitsAt {
        let own = OwnJobLimits {
            max_concurrent: self.max_concurrent,
            weight: self.weight,
            per_kind: self.per_kind.0,
            max_waiting: self.max_waiting,
        };
        LimitsAt {
            tenant_id: self.id,
            version: self.version,
            limits: own.or(self.plan),
        }
    }

    fn for_gate(self) -> LimitsAt {
        let status = self.status;
        self.limits().for_gate(status)
    }
}
