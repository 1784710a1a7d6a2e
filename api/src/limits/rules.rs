//! What a caller may spend.

use std::time::Duration;

use tokio::time::Instant;
use unity_shared::{
    db::{Database, DbError},
    ids::TenantId,
    tenancy::{Plan, QUOTA_MAX, find_tenant},
};

/// Calls that a tenant and each of its keys may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallRules {
    /// Of the tenant, in a clock hour.
    pub per_hour: u32,
    /// Of one key or session, in a second.
    pub per_second: u32,
}

/// How long rules are used before they are read again: a changed quota takes effect by then.
pub const GOOD_FOR: Duration = Duration::from_secs(2);

/// What system administrators may do, each with their own second and all together with one hour.
pub const OF_THE_PLATFORM: CallRules = CallRules {
    per_hour: QUOTA_MAX,
    per_second: 5_000,
};

/// Rules, and when they were read.
#[derive(Debug, Clone, Copy)]
pub struct KnownRules {
    /// The rules.
    pub rules: CallRules,
    /// When.
    pub read_at: Instant,
}

impl CallRules {
    /// A key may spend its tenant's hour within a minute, and never has less than its plan's rate:
    /// whoever buys more calls need not ask for a burst too.
    pub fn of(plan: Plan, per_hour: u32) -> Self {
        Self {
            per_hour,
            per_second: plan.calls_per_second().max(per_hour / 60),
        }
    }

    /// The same for a key that has a rate of its own. It takes away and never adds: a tenant's keys
    /// together have what the plan gives, whatever was agreed on for one.
    pub fn with_own_rate(self, per_second: Option<u32>) -> Self {
        Self {
            per_second: per_second.map_or(self.per_second, |own| own.min(self.per_second)),
            ..self
        }
    }

    /// A tenant's; absent = there is no such tenant.
    pub async fn read(database: &Database, tenant: &TenantId) -> Result<Option<Self>, DbError> {
        let mut tx = database.tenant(tenant).await?;
        let tenant = find_tenant(&mut tx).await?;
        Ok(tenant.map(|tenant| Self::of(tenant.plan, tenant.resource_quota.api_calls_per_hour)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_quota_brings_a_larger_burst_and_a_small_one_keeps_the_plans() {
        assert_eq!(CallRules::of(Plan::Free, 1_000).per_second, 20);
        assert_eq!(CallRules::of(Plan::Pro, 10_000).per_second, 166);
        assert_eq!(CallRules::of(Plan::Enterprise, 100_000).per_second, 1_666);
        assert_eq!(CallRules::of(Plan::Enterprise, 10).per_second, 1_000);
        assert_eq!(CallRules::of(Plan::Free, 6_000_000).per_second, 100_000);
        let own = CallRules::of(Plan::Free, 10).with_own_rate(Some(3));
        assert_eq!((own.per_hour, own.per_second), (10, 3));
        let beyond = CallRules::of(Plan::Free, 10).with_own_rate(Some(100_000));
        assert_eq!(beyond.per_second, 20);
    }
}
