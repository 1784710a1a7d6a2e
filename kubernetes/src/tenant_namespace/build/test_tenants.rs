//! Two tenants that the tests build for: one that has much, one that has nothing.

use unity_shared::tenancy::{Plan, ResourceQuota};

use crate::tenant_namespace::TenantNamespace;

/// An organisation with quotas of its own.
pub(in crate::tenant_namespace) fn acme_corp() -> TenantNamespace {
    TenantNamespace {
        tenant_id: "acme-corp".parse().unwrap(),
        tenant_uid: "0190a000-0000-7000-8000-000000000001".parse().unwrap(),
        plan: Plan::Enterprise,
        quota: ResourceQuota {
            kubernetes_clusters: 10,
            cpu_cores: 100,
            memory_gb: 256,
            storage_gb: 1000,
            api_calls_per_hour: 100_000,
            ..Plan::Enterprise.default_quota()
        },
    }
}

/// A tenant whose every quota is 0.
pub(in crate::tenant_namespace) fn free_with_nothing() -> TenantNamespace {
    TenantNamespace {
        tenant_id: "tiny".parse().unwrap(),
        tenant_uid: "0190a000-0000-7000-8000-000000000002".parse().unwrap(),
        plan: Plan::Free,
        quota: ResourceQuota {
            kubernetes_clusters: 0,
            plugins: 0,
            users: 0,
            api_calls_per_hour: 0,
            cpu_cores: 0,
            memory_gb: 0,
            storage_gb: 0,
            ssh_keys: 0,
            certificates: 0,
        },
    }
}
