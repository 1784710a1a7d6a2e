//! The namespace's own identities, neither of which reaches a pod by itself.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::labels;
use crate::tenant_namespace::TenantNamespace;

/// Name of the account that Unity acts as inside the namespace.
pub(super) fn deployer_name(tenant: &TenantNamespace) -> String {
    format!("unity-{}", tenant.tenant_id)
}

/// `default`, which the cluster makes by itself and every pod gets unless it names another; and
/// `unity-{id}`, which deploys for the tenant.
pub(super) fn build(tenant: &TenantNamespace) -> [ServiceAccount; 2] {
    ["default".to_owned(), deployer_name(tenant)].map(|name| ServiceAccount {
        metadata: labels::in_namespace(tenant, name),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    })
}
