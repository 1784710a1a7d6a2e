//! The namespace itself, with its labels: pod security must hold before the first pod.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::Namespace, apimachinery::pkg::apis::meta::v1::ObjectMeta};

use super::labels;
use crate::tenant_namespace::TenantNamespace;

/// The version of the pod security standard that is enforced: that of the API this crate is built
/// against. Later versions add checks, and an upgrade of the cluster must not stop tenants' pods from starting.
/// Warnings and audit follow the cluster, so that tenants hear of new checks in time.
const POD_SECURITY_VERSION: &str = "v1.33";

const DESIRED_HASH: &str = "unity.dev/desired-hash";
const PLAN: &str = "unity.dev/plan";

/// The namespace, still without the hash.
pub(super) fn build(tenant: &TenantNamespace) -> Namespace {
    let mut labels = labels::tenant(tenant);
    labels.insert(PLAN.to_owned(), tenant.plan.as_str().to_owned());
    labels.extend(
        [
            ("pod-security.kubernetes.io/enforce", "restricted"),
            (
                "pod-security.kubernetes.io/enforce-version",
                POD_SECURITY_VERSION,
            ),
            ("pod-security.kubernetes.io/audit", "restricted"),
            ("pod-security.kubernetes.io/audit-version", "latest"),
            ("pod-security.kubernetes.io/warn", "restricted"),
            ("pod-security.kubernetes.io/warn-version", "latest"),
        ]
        .map(labels::owned),
    );
    Namespace {
        metadata: ObjectMeta {
            name: Some(tenant.tenant_id.namespace()),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    }
}

/// Writes the hash on the namespace.
pub(super) fn stamp(namespace: &mut Namespace, desired_hash: &str) {
    namespace.metadata.annotations = Some(BTreeMap::from([labels::owned((
        DESIRED_HASH,
        desired_hash,
    ))]));
}
