//! `hard_delete_tenant`: takes away all that is left of a tenant whose grace period is over.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    ids::TenantId,
    jobs::{JobKind, RetryPolicy},
    tenancy::Role,
};

/// Which tenant is to be purged. The job belongs to the platform, so that its own row is not among
/// those that it takes away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HardDeleteTenant {
    /// The tenant's slug. It must be deleted, and its grace period over: nothing shortens that.
    pub tenant_id: TenantId,
}

impl HardDeleteTenant {
    /// The resource key of the purge of a tenant: two of one tenant do not run at once.
    #[must_use]
    pub fn resource_key(&self) -> String {
        format!("purge:{}", self.tenant_id)
    }
}

impl JobKind for HardDeleteTenant {
    const NAME: &'static str = "hard_delete_tenant";
    /// A tenant may have millions of rows. What an attempt did not get done, the next goes on with.
    const TIMEOUT: Duration = Duration::from_hours(1);
    const START_ROLE: Role = Role::SystemAdmin;
    const OF_PLATFORM: bool = true;
    /// A cluster that is away for a day still loses the namespace.
    const RETRY: RetryPolicy = RetryPolicy {
        max_attempts: 100,
        base: Duration::from_secs(1),
        cap: Duration::from_mins(15),
        jitter: 0.25,
    };
}
