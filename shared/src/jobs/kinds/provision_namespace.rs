//! `provision_namespace`: brings the tenant's namespace to what its row says.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    jobs::{JobKind, RetryPolicy},
    tenancy::Role,
};

/// Takes nothing: the job carries the tenant, and the handler reads what is wanted from its row when
/// it runs. So a job that waited applies today's quotas, and applying twice changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProvisionNamespace {}

impl ProvisionNamespace {
    /// Two of these must not run at once for one tenant; both would apply the same objects.
    pub const RESOURCE_KEY: &'static str = "namespace";
}

impl JobKind for ProvisionNamespace {
    const NAME: &'static str = "provision_namespace";
    const TIMEOUT: Duration = Duration::from_mins(2);
    const START_ROLE: Role = Role::TenantAdmin;
    const DEFAULT_RESOURCE_KEY: Option<&'static str> = Some(Self::RESOURCE_KEY);
    const SUPERSEDES: bool = true;
    const OF_PLATFORM: bool = true;
    /// A cluster that is away for an hour still gets its namespaces.
    const RETRY: RetryPolicy = RetryPolicy {
        max_attempts: 20,
        base: Duration::from_secs(1),
        cap: Duration::from_mins(5),
        jitter: 0.25,
    };
}
