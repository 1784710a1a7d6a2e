//! A tenant's life: its states, and which step may follow which.
//!
//! ```text
//! active ⇄ suspended ──▶ deleted ──▶ purging ──▶ purged
//!    │         ▲            │ │
//!    ├─────────┼────────────▶ │ the grace period is over
//!    ▲         └── restored ──┤
//!    └──────────── restored ──┘
//! ```
//! The table below is the only one in the code. The database has the same in `guard_tenant_life` and
//! refuses what it does not allow, whoever writes; a test compares the two.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Tenant, tenant::lock_tenant};
use crate::{
    db::{DbError, Operator, PlatformTx},
    ids::TenantId,
};

/// Where a tenant is in its life.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum TenantStatus {
    /// In use.
    Active,
    /// Refused everywhere, its jobs held.
    Suspended,
    /// Refused everywhere, to be purged when its grace period is over.
    Deleted,
    /// Being purged.
    Purging,
    /// Gone; only the tombstone is left.
    Purged,
}

impl TenantStatus {
    /// Every state, in the order of a life.
    pub const ALL: [Self; 5] = [
        Self::Active,
        Self::Suspended,
        Self::Deleted,
        Self::Purging,
        Self::Purged,
    ];

    /// The state's name as the API and the database write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
            Self::Purging => "purging",
            Self::Purged => "purged",
        }
    }

    /// Whether a tenant in this state may become `next`.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        match (self, next) {
            (Self::Active, Self::Suspended | Self::Deleted)
            | (Self::Suspended, Self::Active | Self::Deleted)
            | (Self::Deleted, Self::Active | Self::Suspended | Self::Purging)
            | (Self::Purging, Self::Purged) => true,
            (Self::Active, Self::Active | Self::Purging | Self::Purged)
            | (Self::Suspended, Self::Suspended | Self::Purging | Self::Purged)
            | (Self::Deleted, Self::Deleted | Self::Purged)
            | (Self::Purging, Self::Active | Self::Suspended | Self::Deleted | Self::Purging)
            | (Self::Purged, _) => false,
        }
    }

    /// Whether its callers are let in and its jobs run.
    #[must_use]
    pub const fn in_use(self) -> bool {
        match self {
            Self::Active => true,
            Self::Suspended | Self::Deleted | Self::Purging | Self::Purged => false,
        }
    }
}

/// What an operator does to a tenant's life. The steps to `purging` and `purged` are the purge's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LifeStep {
    /// Takes it out of use, for as long as it takes.
    Suspend,
    /// Takes it back into use.
    Resume,
    /// Takes it out of use for good, unless it is restored before the given instant.
    Delete {
        /// When the grace period ends.
        purge_after: DateTime<Utc>,
    },
    /// Takes the deletion back: it is active or suspended, as it was before.
    Restore,
}

impl LifeStep {
    /// The step as a participle.
    #[must_use]
    pub const fn participle(self) -> &'static str {
        match self {
            Self::Suspend => "suspended",
            Self::Resume => "resumed",
            Self::Delete { .. } => "deleted",
            Self::Restore => "restored",
        }
    }

    /// The state that the step leads to from `status`; absent = it cannot be taken there.
    /// `was_suspended` says whether a deleted tenant was suspended before; `purge_due` whether its
    /// grace period is over.
    #[must_use]
    pub fn leads_to(
        self,
        status: TenantStatus,
        was_suspended: bool,
        purge_due: bool,
    ) -> Option<TenantStatus> {
        let next = match self {
            Self::Suspend if status == TenantStatus::Active => TenantStatus::Suspended,
            Self::Resume if status == TenantStatus::Suspended => TenantStatus::Active,
            Self::Delete { .. } => TenantStatus::Deleted,
            Self::Restore if status != TenantStatus::Deleted || purge_due => return None,
            Self::Restore if was_suspended => TenantStatus::Suspended,
            Self::Restore => TenantStatus::Active,
            Self::Suspend | Self::Resume => return None,
        };
        status.may_become(next).then_some(next)
    }
}

/// A tenant as it is after a step.
#[derive(Debug)]
pub enum Stepped {
    /// The step was taken.
    Taken(Box<Tenant>),
    /// The tenant is in this state, from which the step does not lead.
    Not(TenantStatus),
}

/// Takes a step of the life of a tenant that this transaction has locked.
pub async fn take_step(
    tx: &mut PlatformTx<Operator>,
    tenant: &Tenant,
    step: LifeStep,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Stepped, DbError> {
    let purge_due = tenant.purge_after.is_some_and(|end| end <= now);
    let was_suspended = tenant.suspended_at.is_some();
    let Some(next) = step.leads_to(tenant.status, was_suspended, purge_due) else {
        return Ok(Stepped::Not(tenant.status));
    };
    let purge_after = match step {
        LifeStep::Delete { purge_after } => Some(purge_after),
        LifeStep::Suspend | LifeStep::Resume | LifeStep::Restore => None,
    };
    update_status(tx, &tenant.id, next, purge_after, reason, now).await?;
    Ok(match lock_tenant(tx, &tenant.id).await? {
        Some(tenant) => Stepped::Taken(Box::new(tenant)),
        None => Stepped::Not(tenant.status),
    })
}

/// `purge_after` goes with `deleted` and with nothing else.
async fn update_status(
    tx: &mut PlatformTx<Operator>,
    tenant: &TenantId,
    status: TenantStatus,
    purge_after: Option<DateTime<Utc>>,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE tenants
         SET status = $2,
             suspended_at = CASE $2 WHEN 'active' THEN NULL WHEN 'suspended' THEN coalesce(suspended_at, $5)
                                    ELSE suspended_at END,
             deleted_at = CASE $2 WHEN 'deleted' THEN $5 END,
             purge_after = $3, status_reason = $4, version = version + 1, updated_at = $5
         WHERE id = $1",
        tenant.as_str(),
        status.as_str(),
        purge_after,
        reason,
        now,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{TenantStatus::*, *};

    #[test]
    fn each_step_leads_where_the_table_says_and_nowhere_else() {
        let purge_after = DateTime::UNIX_EPOCH;
        for (step, leads) in [
            (LifeStep::Suspend, [Some(Suspended), None, None, None, None]),
            (LifeStep::Resume, [None, Some(Active), None, None, None]),
            (
                LifeStep::Delete { purge_after },
                [Some(Deleted), Some(Deleted), None, None, None],
            ),
            (LifeStep::Restore, [None, None, Some(Active), None, None]),
        ] {
            let found = TenantStatus::ALL.map(|status| step.leads_to(status, false, false));
            assert_eq!(found, leads, "{step:?}");
        }
    }

    #[test]
    fn a_restored_tenant_is_as_it_was_and_a_late_restore_does_nothing() {
        let restored = |was_suspended, due| LifeStep::Restore.leads_to(Deleted, was_suspended, due);
        assert_eq!(restored(true, false), Some(Suspended));
        assert_eq!(restored(false, true), None);
        assert_eq!(restored(true, true), None);
    }
}
