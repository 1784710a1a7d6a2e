//! Plans: what a tenant has when nothing else is agreed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{job_limits::JobLimits, quota::ResourceQuota};

/// The plan that a tenant is on. It gives the default quotas and job limits; a tenant's own values
/// override them one by one.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Plan {
    /// To try Unity out.
    Free,
    /// A team in production.
    Pro,
    /// A whole organisation.
    Enterprise,
}

impl Plan {
    /// The plan's name as it is written in the API and the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Pro => "pro",
            Self::Enterprise => "enterprise",
        }
    }

    /// The quotas of a tenant that agreed on nothing else.
    #[must_use]
    pub const fn default_quota(self) -> ResourceQuota {
        let (scale, calls) = match self {
            Self::Free => (1, 1_000),
            Self::Pro => (5, 10_000),
            Self::Enterprise => (10, 100_000),
        };
        ResourceQuota {
            kubernetes_clusters: scale,
            plugins: 5 * scale,
            users: 10 * scale,
            api_calls_per_hour: calls,
            cpu_cores: 10 * scale,
            memory_gb: 25 * scale,
            storage_gb: 100 * scale,
            ssh_keys: 10 * scale,
            certificates: 5 * scale,
        }
    }

    /// Calls that each key or session of such a tenant may make in a second at least, whatever the
    /// tenant's hour allows.
    #[must_use]
    pub const fn calls_per_second(self) -> u32 {
        match self {
            Self::Free => 20,
            Self::Pro => 100,
            Self::Enterprise => 1_000,
        }
    }

    /// The job limits of a tenant that agreed on nothing else.
    #[must_use]
    pub const fn default_job_limits(self) -> JobLimits {
        let (max_concurrent, weight, max_waiting) = match self {
            Self::Free => (5, 1, 100_000),
            Self::Pro => (20, 2, 1_000_000),
            Self::Enterprise => (100, 4, 10_000_000),
        };
        JobLimits {
            max_concurrent,
            weight,
            per_kind: BTreeMap::new(),
            max_waiting,
        }
    }

    /// The highest limits that can be agreed on; see [`MostJobLimits`].
    #[must_use]
    pub const fn most_job_limits(self) -> MostJobLimits {
        let (max_concurrent, weight, max_waiting) = match self {
            Self::Free => (500, 100, 1_000_000),
            Self::Pro => (2_000, 500, 10_000_000),
            Self::Enterprise => (10_000, 1_000, 100_000_000),
        };
        MostJobLimits {
            max_concurrent,
            weight,
            max_waiting,
        }
    }
}

/// How far the job limits of a tenant can be raised above the defaults of its plan. It is asked when
/// limits are set; those in force stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MostJobLimits {
    /// Of [`JobLimits::max_concurrent`], and of each kind in [`JobLimits::per_kind`].
    pub max_concurrent: u32,
    /// Of [`JobLimits::weight`].
    pub weight: u32,
    /// Of [`JobLimits::max_waiting`].
    pub max_waiting: u32,
}
