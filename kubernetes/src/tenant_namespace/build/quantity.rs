//! Amounts of resources as Kubernetes writes them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Whole units: CPU cores, or a count of objects.
pub(super) fn units(count: u32) -> Quantity {
    Quantity(count.to_string())
}

/// Binary gigabytes (2^30 bytes). What the API calls `_gb` has always meant these.
pub(super) fn gib(count: u32) -> Quantity {
    Quantity(format!("{count}Gi"))
}

/// An amount as it is written in a manifest.
pub(super) fn literal(text: &str) -> Quantity {
    Quantity(text.to_owned())
}

/// A list of resources by name.
pub(super) fn amounts<const N: usize>(
    entries: [(&str, Quantity); N],
) -> BTreeMap<String, Quantity> {
    entries
        .into_iter()
        .map(|(name, amount)| (name.to_owned(), amount))
        .collect()
}
