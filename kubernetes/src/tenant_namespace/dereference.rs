//! Step 1, client required: reads what decides whether the namespace may be touched at all.
//!
//! The objects inside are read one by one when they are applied: a resource version read here
//! would be stale by then, because the quota controller writes into quotas at any moment.

use k8s_openapi::api::core::v1::Namespace;

use super::{
    TenantNamespace,
    error::{ObjectName, ProvisionError},
};
use crate::client::ClusterClient;

/// The desired state, and the namespace as it is now.
pub(super) struct Dereferenced<'a> {
    pub(super) desired: &'a TenantNamespace,
    /// `None` if there is no namespace of this name.
    pub(super) namespace: Option<Namespace>,
}

/// Reads the tenant's namespace.
pub(super) async fn dereference<'a>(
    client: &ClusterClient,
    desired: &'a TenantNamespace,
) -> Result<Dereferenced<'a>, ProvisionError> {
    let name = desired.tenant_id.namespace();
    let namespace = client
        .get::<Namespace>(None, &name)
        .await
        .map_err(|source| {
            let object = ObjectName::cluster_scoped("Namespace", &name);
            ProvisionError::reading(object, &name, source)
        })?;
    Ok(Dereferenced { desired, namespace })
}
