//! Plans: what a tenant has when nothing else is agreed.

use serde::{Deserialize, Serialize};

use super::quota::ResourceQuota;

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

/// How many jobs of a tenant run at once, and how large its share of a busy fleet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobLimits {
    /// Most jobs that run at the same time over all kinds and queues, 0 to 10 000. 0 holds every
    /// job back.
    pub max_concurrent: u32,
    /// Share of the fleet against other tenants with waiting jobs, 1 to 1000.
    pub weight: u32,
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

    /// The job limits of a tenant that agreed on nothing else.
    #[must_use]
    pub const fn default_job_limits(self) -> JobLimits {
        match self {
            Self::Free => JobLimits {
                max_concurrent: 5,
                weight: 1,
            },
            Self::Pro => JobLimits {
                max_concurrent: 20,
                weight: 2,
            },
            Self::Enterprise => JobLimits {
                max_concurrent: 100,
                weight: 4,
            },
        }
    }
}
