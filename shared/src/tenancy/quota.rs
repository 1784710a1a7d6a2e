//! The nine resource quotas of a tenant.

use serde::{Deserialize, Serialize};

/// The largest value a quota may have. High enough to mean "no limit in practice", low enough that
/// sums and unit conversions cannot overflow.
pub const QUOTA_MAX: u32 = 10_000_000;

/// A quota, and what is used of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct QuotaUsage {
    /// Most that the tenant may have.
    pub limit: u32,
    /// What it has, in whole units, rounded up; null if that is not known now. More than the limit where
    /// that was lowered: nothing new then.
    #[schema(required)]
    pub used: Option<u32>,
}

/// Declares the quotas' types from one list, so that a new quota cannot be forgotten in one of them.
macro_rules! quotas {
    ($($(#[$doc:meta])* $variant:ident $name:ident,)*) => {
        /// What a tenant may use. Every value is a whole number from 0 to [`QUOTA_MAX`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
        pub struct ResourceQuota {
            $($(#[$doc])* pub $name: u32,)*
        }

        /// The quotas that a caller states; what is absent comes from the plan. Unknown keys,
        /// negative numbers and fractions are refused.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(deny_unknown_fields)]
        pub struct QuotaOverrides {
            $(
                $(#[$doc])*
                #[serde(default, skip_serializing_if = "Option::is_none")]
                #[schema(minimum = 0, maximum = 10_000_000)]
                pub $name: Option<u32>,
            )*
        }

        impl QuotaOverrides {
            /// These values where stated, `defaults` elsewhere.
            #[must_use]
            pub fn or(&self, defaults: ResourceQuota) -> ResourceQuota {
                ResourceQuota { $($name: self.$name.unwrap_or(defaults.$name),)* }
            }

            /// The names of the quotas above [`QUOTA_MAX`].
            #[must_use]
            pub fn too_large(&self) -> Vec<&'static str> {
                let mut names = Vec::new();
                $(if self.$name.is_some_and(|value| value > QUOTA_MAX) { names.push(stringify!($name)); })*
                names
            }
        }

        /// Each quota, and what is used of it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
        pub struct QuotaReport {
            $($(#[$doc])* pub $name: QuotaUsage,)*
        }

        impl QuotaReport {
            /// The report of `usage_of` each quota.
            pub fn of(mut usage_of: impl FnMut(Quota) -> QuotaUsage) -> Self {
                Self { $($name: usage_of(Quota::$variant),)* }
            }
        }

        /// One of the quotas.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Quota {
            $($(#[$doc])* $variant,)*
        }

        impl Quota {
            /// Every quota.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in the API and in rows.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($name),)*
                }
            }

            /// Its value among all.
            #[must_use]
            pub const fn of(self, quotas: &ResourceQuota) -> u32 {
                match self {
                    $(Self::$variant => quotas.$name,)*
                }
            }
        }
    };
}

quotas! {
    /// Kubernetes clusters the tenant may register.
    KubernetesClusters kubernetes_clusters,
    /// Plugins the tenant may install.
    Plugins plugins,
    /// People who may be members of the tenant.
    Users users,
    /// API calls in one clock hour.
    ApiCallsPerHour api_calls_per_hour,
    /// CPU cores that all pods together may request, and be limited to.
    CpuCores cpu_cores,
    /// Memory of all pods together. The unit is GiB (2^30 bytes), whatever the name says.
    MemoryGb memory_gb,
    /// Storage of all volume claims together, in GiB.
    StorageGb storage_gb,
    /// SSH keys the tenant may keep.
    SshKeys ssh_keys,
    /// Certificates the tenant may keep.
    Certificates certificates,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenancy::Plan;

    #[test]
    fn stated_quotas_win_and_the_rest_comes_from_the_plan() {
        let stated: QuotaOverrides = serde_json::from_str(r#"{"cpu_cores": 7}"#).unwrap();
        let quota = stated.or(Plan::Pro.default_quota());
        assert_eq!(quota.cpu_cores, 7);
        assert_eq!(quota.memory_gb, Plan::Pro.default_quota().memory_gb);
    }

    #[test]
    fn negative_fractional_and_unknown_quotas_are_refused() {
        for bad in [
            r#"{"cpu_cores": -1}"#,
            r#"{"cpu_cores": 1.5}"#,
            r#"{"gpus": 1}"#,
        ] {
            assert!(
                serde_json::from_str::<QuotaOverrides>(bad).is_err(),
                "{bad}"
            );
        }
    }
}
