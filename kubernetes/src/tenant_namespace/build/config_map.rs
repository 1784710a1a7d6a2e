//! A card in the namespace that says whose it is: for people, and to find tenants again in a
//! cluster whose control plane was lost.
//!
//! Members of the tenant can write it, as they can every config map, so nothing decides by it; the
//! namespace's labels, which they cannot write, are what counts.

use k8s_openapi::api::core::v1::ConfigMap;

use super::labels;
use crate::tenant_namespace::TenantNamespace;

/// `unity-tenant`, still without the hash.
pub(super) fn build(tenant: &TenantNamespace) -> ConfigMap {
    let data = [
        ("tenant-id".to_owned(), tenant.tenant_id.to_string()),
        ("tenant-uid".to_owned(), tenant.tenant_uid.to_string()),
        ("plan".to_owned(), tenant.plan.as_str().to_owned()),
    ];
    ConfigMap {
        metadata: labels::in_namespace(tenant, "unity-tenant"),
        data: Some(data.into()),
        ..ConfigMap::default()
    }
}

/// Writes the hash on the card.
pub(super) fn stamp(config_map: &mut ConfigMap, desired_hash: &str) {
    let data = config_map.data.get_or_insert_default();
    data.insert("desired-hash".to_owned(), desired_hash.to_owned());
}
