//! The labels that say whose an object is, and the metadata that carries them.
//!
//! `tenant-id` and `managed-by` are for people and their queries. `unity.dev/tenant-uid` is what
//! decides: a slug may be used again after its tenant is gone, a uid never.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::tenant_namespace::TenantNamespace;

/// The tenant's slug.
pub(super) const TENANT_ID: &str = "tenant-id";
/// The tenant's immutable identity. Network policies select by it.
pub(in crate::tenant_namespace) const TENANT_UID: &str = "unity.dev/tenant-uid";
/// [`UNITY`] on everything that Unity made.
pub(in crate::tenant_namespace) const MANAGED_BY: &str = "managed-by";
/// Who made it.
pub(in crate::tenant_namespace) const UNITY: &str = "unity";
/// The same for tools that follow the recommended labels.
const APP_MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Labels of an object that all tenants of a cluster share.
pub(super) fn platform() -> BTreeMap<String, String> {
    [(MANAGED_BY, UNITY), (APP_MANAGED_BY, UNITY)]
        .map(owned)
        .into()
}

/// Labels of an object that belongs to one tenant.
pub(super) fn tenant(tenant: &TenantNamespace) -> BTreeMap<String, String> {
    let mut labels = platform();
    labels.insert(TENANT_ID.to_owned(), tenant.tenant_id.to_string());
    labels.insert(TENANT_UID.to_owned(), tenant.tenant_uid.to_string());
    labels
}

/// Metadata of the object `name` in the tenant's namespace.
pub(super) fn in_namespace(owner: &TenantNamespace, name: impl Into<String>) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.into()),
        namespace: Some(owner.tenant_id.namespace()),
        labels: Some(tenant(owner)),
        ..ObjectMeta::default()
    }
}

/// A pair of literals as the maps of Kubernetes want it.
pub(super) fn owned((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.to_owned())
}
