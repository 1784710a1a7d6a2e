//! Step 5, client required: what was applied only counts if the namespace is still there for it.
//!
//! A namespace that is being deleted accepts changes to the objects it still has, so a run of
//! successes does not show that there is anything left.

use k8s_openapi::api::core::v1::Namespace;

use super::{
    build::{
        Applied, Resources,
        labels::{MANAGED_BY, TENANT_UID},
    },
    error::{ObjectName, ProvisionError},
    report::ProvisionReport,
    validate::is_terminating,
};
use crate::client::ClusterClient;

/// Reads the namespace back and reports.
pub(super) async fn status(
    client: &ClusterClient,
    applied: Resources<Applied>,
) -> Result<ProvisionReport, ProvisionError> {
    let object = ObjectName::of(&applied.namespace);
    let Applied {
        desired_hash,
        objects,
    } = applied.state;
    let namespace = object.name().to_owned();
    let found = client
        .get::<Namespace>(None, &namespace)
        .await
        .map_err(|source| ProvisionError::reading(object, &namespace, source))?;
    match found {
        None => Err(ProvisionError::NamespaceVanished { namespace }),
        Some(found) if is_terminating(&found) => {
            Err(ProvisionError::NamespaceTerminating { namespace })
        }
        Some(found) if !same_owner(&found, &applied.namespace) => {
            Err(ProvisionError::NamespaceForeign { namespace })
        }
        Some(_active) => Ok(ProvisionReport::new(namespace, desired_hash, objects)),
    }
}

/// Whether the namespace still carries the marks that were applied. Since then it may have been
/// deleted and made anew by somebody else.
fn same_owner(found: &Namespace, applied: &Namespace) -> bool {
    let mark = |namespace: &Namespace, key| {
        namespace
            .metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(key))
            .cloned()
    };
    [MANAGED_BY, TENANT_UID]
        .into_iter()
        .all(|key| mark(found, key) == mark(applied, key))
}
