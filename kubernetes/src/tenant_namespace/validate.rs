//! Step 2, no client required: a namespace that is not ours is refused, never adopted.
//!
//! Whoever could make Unity adopt a namespace would be given its tenant's permissions there; and a
//! tenant that gets the name of a deleted one must not get what that one left behind.

use k8s_openapi::api::core::v1::Namespace;
use unity_shared::ids::TenantUid;

use super::{
    TenantNamespace,
    build::labels::{MANAGED_BY, TENANT_UID, UNITY},
    dereference::Dereferenced,
    error::ProvisionError,
};

/// A desired state whose namespace is absent, or alive and this tenant's.
#[derive(Debug)]
pub(super) struct Validated<'a> {
    desired: &'a TenantNamespace,
}

impl Validated<'_> {
    pub(super) const fn desired(&self) -> &TenantNamespace {
        self.desired
    }
}

/// Checks whose the namespace is and that it is not on its way out.
pub(super) fn validate(dereferenced: Dereferenced<'_>) -> Result<Validated<'_>, ProvisionError> {
    let Dereferenced { desired, namespace } = dereferenced;
    if let Some(namespace) = namespace {
        let name = desired.tenant_id.namespace();
        // Ownership first: how somebody else's namespace is doing is none of our business.
        if !belongs_to(&namespace, desired.tenant_uid) {
            return Err(ProvisionError::NamespaceForeign { namespace: name });
        }
        if is_terminating(&namespace) {
            return Err(ProvisionError::NamespaceTerminating { namespace: name });
        }
    }
    Ok(Validated { desired })
}

/// Whether the namespace carries both marks that Unity puts on a namespace of this tenant.
pub(super) fn belongs_to(namespace: &Namespace, tenant: TenantUid) -> bool {
    let label = |key| {
        namespace
            .metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(key))
            .map(String::as_str)
    };
    label(MANAGED_BY) == Some(UNITY) && label(TENANT_UID) == Some(tenant.to_string().as_str())
}

/// Whether the namespace is being deleted.
pub(super) fn is_terminating(namespace: &Namespace) -> bool {
    let phase = namespace
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    namespace.metadata.deletion_timestamp.is_some() || phase == Some("Terminating")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::api::core::v1::NamespaceStatus;

    use super::*;
    use crate::tenant_namespace::build::test_tenants::acme_corp;

    fn namespace(labels: &[(&str, &str)], phase: &str) -> Namespace {
        let mut namespace = Namespace::default();
        let labels: BTreeMap<_, _> = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        namespace.metadata.labels = Some(labels);
        namespace.status = Some(NamespaceStatus {
            phase: Some(phase.to_owned()),
            conditions: None,
        });
        namespace
    }

    #[test]
    fn an_absent_namespace_and_our_own_are_accepted() {
        let desired = acme_corp();
        let uid = desired.tenant_uid.to_string();
        let ours = namespace(&[(MANAGED_BY, UNITY), (TENANT_UID, &uid)], "Active");
        for namespace in [None, Some(ours)] {
            assert!(
                validate(Dereferenced {
                    desired: &desired,
                    namespace
                })
                .is_ok()
            );
        }
    }

    #[test]
    fn a_namespace_without_both_of_our_marks_is_foreign() {
        let desired = acme_corp();
        let uid = desired.tenant_uid.to_string();
        let former = "0190a000-0000-7000-8000-00000000dead";
        for labels in [
            vec![],
            vec![(TENANT_UID, uid.as_str())],
            vec![(MANAGED_BY, UNITY)],
            vec![(MANAGED_BY, "somebody"), (TENANT_UID, uid.as_str())],
            vec![(MANAGED_BY, UNITY), (TENANT_UID, former)],
        ] {
            let namespace = Some(namespace(&labels, "Terminating"));
            let error = validate(Dereferenced {
                desired: &desired,
                namespace,
            })
            .unwrap_err();
            assert!(
                matches!(error, ProvisionError::NamespaceForeign { .. }),
                "{labels:?}"
            );
        }
    }

    #[test]
    fn our_own_namespace_that_is_being_deleted_is_worth_another_try() {
        let desired = acme_corp();
        let uid = desired.tenant_uid.to_string();
        let ours = namespace(&[(MANAGED_BY, UNITY), (TENANT_UID, &uid)], "Terminating");
        let error = validate(Dereferenced {
            desired: &desired,
            namespace: Some(ours),
        })
        .unwrap_err();
        assert_eq!(
            (error.code(), error.retryable()),
            ("namespace.terminating", true)
        );
    }
}
