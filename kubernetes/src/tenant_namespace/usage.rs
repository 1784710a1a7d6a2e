//! What a tenant's pods and volumes use, as the cluster's own quota counts it.

use k8s_openapi::{api::core::v1::ResourceQuota, apimachinery::pkg::api::resource::Quantity};
use unity_shared::ids::TenantId;

use super::{
    build::COMPUTE_QUOTA,
    error::{ObjectName, ProvisionError},
};
use crate::client::ClusterClient;

/// Use in whole units, rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterUse {
    /// CPU cores that all pods together request.
    pub cpu_cores: u32,
    /// Memory that all pods together request, in GiB.
    pub memory_gib: u32,
    /// Storage of all volume claims together, in GiB.
    pub storage_gib: u32,
}

/// Reads the use of a tenant's namespace; absent where the cluster has not counted it yet.
pub async fn read_use(
    client: &ClusterClient,
    tenant: &TenantId,
) -> Result<Option<ClusterUse>, ProvisionError> {
    let namespace = tenant.namespace();
    let quota: Option<ResourceQuota> =
        client
            .get(Some(&namespace), COMPUTE_QUOTA)
            .await
            .map_err(|source| {
                let object = ObjectName::cluster_scoped("ResourceQuota", COMPUTE_QUOTA);
                ProvisionError::reading(object, &namespace, source)
            })?;
    let used = quota
        .and_then(|quota| quota.status)
        .and_then(|status| status.used);
    Ok(used.and_then(|used| {
        let amount = |name: &str, unit| used.get(name).and_then(|found| whole(found, unit));
        Some(ClusterUse {
            cpu_cores: amount("requests.cpu", 1)?,
            memory_gib: amount("requests.memory", GIB)?,
            storage_gib: amount("requests.storage", GIB)?,
        })
    }))
}

const GIB: i128 = 1 << 30;
/// An amount is counted in billionths, the smallest that Kubernetes writes.
const NANO: i128 = 1_000_000_000;

/// How many whole units an amount fills or begins; absent if it cannot be read.
fn whole(quantity: &Quantity, unit: i128) -> Option<u32> {
    let nanos = nanos(&quantity.0)?;
    let unit = unit.checked_mul(NANO)?;
    u32::try_from(nanos.checked_add(unit - 1)?.div_euclid(unit)).ok()
}

/// An amount in billionths, from the forms that the API server writes: a decimal number and a suffix.
fn nanos(text: &str) -> Option<i128> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(end)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: i128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let digits: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let base = whole.checked_mul(NANO)?.checked_add(digits.parse().ok()?)?;
    let (times, divided) = match suffix {
        "" => (1, 1),
        "n" => (1, NANO),
        "u" => (1, 1_000_000),
        "m" => (1, 1000),
        "k" => (1000, 1),
        "M" => (1_000_000, 1),
        "G" => (NANO, 1),
        "T" => (NANO * 1000, 1),
        "P" => (NANO * 1_000_000, 1),
        "E" => (NANO * NANO, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (GIB, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        _ => return None,
    };
    base.checked_mul(times)?.checked_div(divided)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_rounded_up_to_whole_units() {
        for (text, unit, expected) in [
            ("0", 1, Some(0)),
            ("250m", 1, Some(1)),
            ("2", 1, Some(2)),
            ("2001m", 1, Some(3)),
            ("1.5", 1, Some(2)),
            ("512Mi", GIB, Some(1)),
            ("1Gi", GIB, Some(1)),
            ("1073741825", GIB, Some(2)),
            ("2G", GIB, Some(2)),
            ("3Ti", GIB, Some(3072)),
            ("lots", 1, None),
            ("1x", 1, None),
        ] {
            assert_eq!(whole(&Quantity(text.to_owned()), unit), expected, "{text}");
        }
    }
}
