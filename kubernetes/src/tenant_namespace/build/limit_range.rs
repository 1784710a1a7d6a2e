//! Bounds and defaults of a single container and volume claim.
//!
//! Without defaults, the quota would refuse every pod that states no requests and limits. The
//! bounds follow small quotas down, so that no pod is admitted by one and refused by the other.
//!
//! A quota of 0 has no bounds or defaults but the minimum. That is what makes 0 mean none: a
//! minimum above 0 must be asked for, and asking for it exceeds the quota. A maximum of 0 would
//! do the opposite: a container with a limit of 0 fits a quota of 0, and to a node a limit of 0
//! means no limit.

use k8s_openapi::api::core::v1::{LimitRange, LimitRangeItem, LimitRangeSpec};

use super::{
    labels,
    quantity::{amounts, gib, literal, units},
};
use crate::tenant_namespace::TenantNamespace;

/// The most that one container may use of each, in cores and GiB.
const MAX_CONTAINER_CPU_CORES: u32 = 8;
const MAX_CONTAINER_MEMORY_GIB: u32 = 16;
/// The largest single volume claim, in GiB.
const MAX_VOLUME_GIB: u32 = 100;

/// `unity-defaults`.
pub(super) fn build(tenant: &TenantNamespace) -> LimitRange {
    LimitRange {
        metadata: labels::in_namespace(tenant, "unity-defaults"),
        spec: Some(LimitRangeSpec {
            limits: vec![container(tenant), volume_claim(tenant)],
        }),
    }
}

fn container(tenant: &TenantNamespace) -> LimitRangeItem {
    let mut default = amounts([("ephemeral-storage", literal("1Gi"))]);
    let mut default_request = amounts([("ephemeral-storage", literal("128Mi"))]);
    let mut max = amounts([]);
    let (cores, gibs) = (tenant.quota.cpu_cores, tenant.quota.memory_gb);
    // Quotas are whole numbers, so the defaults below fit into every quota that is not 0.
    if cores > 0 {
        default.insert("cpu".to_owned(), literal("500m"));
        default_request.insert("cpu".to_owned(), literal("50m"));
        max.insert("cpu".to_owned(), units(cores.min(MAX_CONTAINER_CPU_CORES)));
    }
    if gibs > 0 {
        default.insert("memory".to_owned(), literal("512Mi"));
        default_request.insert("memory".to_owned(), literal("128Mi"));
        max.insert("memory".to_owned(), gib(gibs.min(MAX_CONTAINER_MEMORY_GIB)));
    }
    LimitRangeItem {
        type_: "Container".to_owned(),
        default: Some(default),
        default_request: Some(default_request),
        max: (!max.is_empty()).then_some(max),
        min: Some(amounts([
            ("cpu", literal("10m")),
            ("memory", literal("16Mi")),
        ])),
        ..LimitRangeItem::default()
    }
}

fn volume_claim(tenant: &TenantNamespace) -> LimitRangeItem {
    let gibs = tenant.quota.storage_gb;
    LimitRangeItem {
        type_: "PersistentVolumeClaim".to_owned(),
        max: (gibs > 0).then(|| amounts([("storage", gib(gibs.min(MAX_VOLUME_GIB)))])),
        min: Some(amounts([("storage", gib(1))])),
        ..LimitRangeItem::default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

    use super::*;
    use crate::tenant_namespace::build::test_tenants::acme_corp;

    /// In thousandths of a core or byte.
    fn thousandths(quantity: &Quantity) -> u64 {
        let digits = quantity
            .0
            .trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let factor = match quantity.0.trim_start_matches(|c: char| c.is_ascii_digit()) {
            "m" => 1,
            "" => 1000,
            "Mi" => 1000 << 20,
            "Gi" => 1000 << 30,
            unit => unreachable!("{unit}"),
        };
        digits.parse::<u64>().unwrap() * factor
    }

    fn of(amounts: Option<&BTreeMap<String, Quantity>>, name: &str) -> Option<u64> {
        amounts?.get(name).map(thousandths)
    }

    #[test]
    fn bounds_and_defaults_fit_each_other_and_every_quota() {
        for quota in (0..=20).chain([99, 100, 101, 10_000_000]) {
            let mut tenant = acme_corp();
            tenant.quota.cpu_cores = quota;
            tenant.quota.memory_gb = quota;
            tenant.quota.storage_gb = quota;
            let whole_quota = [
                ("cpu", thousandths(&units(quota))),
                ("memory", thousandths(&gib(quota))),
                ("storage", thousandths(&gib(quota))),
            ];
            for item in build(&tenant).spec.unwrap().limits {
                for (name, whole) in whole_quota {
                    // What is stated must rise from left to right and end at the quota.
                    let stated: Vec<u64> = [
                        of(item.min.as_ref(), name),
                        of(item.default_request.as_ref(), name),
                        of(item.default.as_ref(), name),
                        of(item.max.as_ref(), name),
                    ]
                    .into_iter()
                    .flatten()
                    .collect();
                    assert!(stated.is_sorted(), "{quota} {name} {stated:?}");
                    if quota > 0 {
                        assert!(
                            stated.iter().all(|amount| *amount <= whole),
                            "{quota} {name}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_that_meets_the_minimum_fits_a_quota_of_zero() {
        let mut tenant = acme_corp();
        tenant.quota.cpu_cores = 0;
        tenant.quota.storage_gb = 0;
        let [container, volume] = build(&tenant).spec.unwrap().limits.try_into().unwrap();
        assert!(of(container.min.as_ref(), "cpu") > Some(0));
        assert_eq!(of(container.default.as_ref(), "cpu"), None);
        assert_eq!(of(container.max.as_ref(), "cpu"), None);
        assert!(of(container.max.as_ref(), "memory").is_some());
        assert!(of(volume.min.as_ref(), "storage") > Some(0));
        assert_eq!(volume.max, None);
    }
}
