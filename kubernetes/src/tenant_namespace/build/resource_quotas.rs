//! What the whole namespace may use: the tenant's own quotas, and bounds on how many objects.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{ResourceQuota, ResourceQuotaSpec},
    apimachinery::pkg::api::resource::Quantity,
};

use super::{
    labels,
    quantity::{amounts, gib, literal, units},
};
use crate::tenant_namespace::TenantNamespace;

/// The quota over what the tenant bought; its status says what is used of it.
pub(in crate::tenant_namespace) const COMPUTE_QUOTA: &str = "unity-compute";

/// `unity-compute` from the tenant's quotas, and `unity-objects`, equal for all tenants.
pub(super) fn build(tenant: &TenantNamespace) -> [ResourceQuota; 2] {
    [
        quota(tenant, COMPUTE_QUOTA, compute(tenant)),
        quota(tenant, "unity-objects", object_counts()),
    ]
}

fn quota(tenant: &TenantNamespace, name: &str, hard: BTreeMap<String, Quantity>) -> ResourceQuota {
    ResourceQuota {
        metadata: labels::in_namespace(tenant, name),
        spec: Some(ResourceQuotaSpec {
            hard: Some(hard),
            ..ResourceQuotaSpec::default()
        }),
        ..ResourceQuota::default()
    }
}

/// Requests and limits are bounded alike: what a tenant bought is what its pods can burst to.
fn compute(tenant: &TenantNamespace) -> BTreeMap<String, Quantity> {
    let (cpu, memory) = (units(tenant.quota.cpu_cores), gib(tenant.quota.memory_gb));
    amounts([
        ("requests.cpu", cpu.clone()),
        ("limits.cpu", cpu),
        ("requests.memory", memory.clone()),
        ("limits.memory", memory),
        ("requests.storage", gib(tenant.quota.storage_gb)),
    ])
}

/// Bounds that keep one tenant from filling the cluster's store or the nodes' disks, or from
/// opening ports that bypass the ingress controller.
///
/// Two quotas are ours, so a third is refused; the rest leaves room for Unity's own objects.
fn object_counts() -> BTreeMap<String, Quantity> {
    amounts([
        ("pods", units(100)),
        ("services", units(50)),
        ("services.nodeports", units(0)),
        ("services.loadbalancers", units(0)),
        ("replicationcontrollers", units(0)),
        ("resourcequotas", units(2)),
        ("secrets", units(200)),
        ("configmaps", units(200)),
        ("persistentvolumeclaims", units(10)),
        ("requests.ephemeral-storage", literal("20Gi")),
        ("limits.ephemeral-storage", literal("40Gi")),
        ("count/deployments.apps", units(100)),
        ("count/statefulsets.apps", units(50)),
        ("count/jobs.batch", units(200)),
        ("count/cronjobs.batch", units(50)),
        ("count/ingresses.networking.k8s.io", units(50)),
        ("count/networkpolicies.networking.k8s.io", units(50)),
        ("count/roles.rbac.authorization.k8s.io", units(50)),
        ("count/rolebindings.rbac.authorization.k8s.io", units(50)),
        ("count/serviceaccounts", units(50)),
    ])
}
