//! One hash over everything a namespace should hold: two runs that want the same show it at a
//! glance, and a namespace that was built for an older wish is found without comparing objects.
//!
//! The shared cluster roles are left out: they are not the tenant's, and a new version of theirs
//! must not make every namespace of the fleet look outdated.

use std::fmt::Write as _;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{Prepared, Resources};

/// `sha256:` and the hash over the objects' JSON forms in the order of application, before any of
/// them carries the hash.
pub(super) fn of(resources: &Resources<Prepared>) -> Result<String, serde_json::Error> {
    let Resources {
        cluster_roles: _,
        namespace,
        network_policies,
        retired_network_policies,
        resource_quotas,
        limit_range,
        service_accounts,
        role_bindings,
        config_map,
        state: _,
    } = resources;
    let mut hasher = Sha256::new();
    add(&mut hasher, namespace)?;
    add(&mut hasher, network_policies)?;
    add(&mut hasher, retired_network_policies)?;
    add(&mut hasher, resource_quotas)?;
    add(&mut hasher, limit_range)?;
    add(&mut hasher, service_accounts)?;
    add(&mut hasher, role_bindings)?;
    add(&mut hasher, config_map)?;

    let mut text = "sha256:".to_owned();
    for byte in hasher.finalize() {
        // Writing into a string cannot fail.
        let _infallible = write!(text, "{byte:02x}");
    }
    Ok(text)
}

/// Maps in these types are sorted by key, so that equal objects have equal bytes.
fn add<K: Serialize>(hasher: &mut Sha256, objects: &K) -> Result<(), serde_json::Error> {
    hasher.update(serde_json::to_vec(objects)?);
    hasher.update(b"\n");
    Ok(())
}
