//! What a cluster contains before anybody asks it for anything.

use serde_json::Value;

use crate::cluster::{Actor, Cluster};
use crate::identity::Identity;
use crate::managed_fields::Writer;
use crate::resources::{RESOURCES, Resource};
use crate::write::{self, Ownership};
use crate::{aggregate, managed_fields, tree};

const OBJECTS: &str = include_str!("seed.yaml");
const MANAGER: &str = "kube-apiserver";

/// Creates what is missing; what is there already stays as it is.
///
/// # Errors
/// The first object that cannot be created.
pub fn plant(cluster: &mut Cluster) -> Result<(), SeedError> {
    let objects: Vec<Value> = serde_yaml_ng::from_str(OBJECTS).map_err(SeedError::Read)?;
    let identity = Identity::administrator();
    for object in objects {
        let Some(resource) = resource_of(&object) else {
            continue;
        };
        let name = tree::text(&object, &["metadata", "name"]).to_owned();
        let namespace = tree::text(&object, &["metadata", "namespace"]).to_owned();
        if cluster.store.get(resource, &namespace, &name).is_some() {
            continue;
        }
        let writer = Writer {
            manager: MANAGER.to_owned(),
            api_version: resource.api_version(),
            subresource: String::new(),
            time: cluster.environment.timestamp(),
        };
        let actor = Actor {
            identity: &identity,
            writer,
        };
        let status = object.get("status").cloned();
        write::create(
            cluster,
            resource,
            &namespace,
            object,
            &actor,
            Ownership::Record,
        )
        .map_err(|source| SeedError::Create {
            name: name.clone(),
            source,
        })?;
        if let Some(status) = status {
            report(cluster, resource, &namespace, &name, status);
        }
    }
    aggregate::refresh(cluster);
    Ok(())
}

/// What keeps a cluster from starting.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The list of objects cannot be read.
    #[error("could not read the initial objects")]
    Read(#[source] serde_yaml_ng::Error),
    /// An object was refused.
    #[error("could not create initial object {name}")]
    Create {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: crate::status::Failure,
    },
}

fn resource_of(object: &Value) -> Option<&'static Resource> {
    let (version, kind) = (
        tree::text(object, &["apiVersion"]),
        tree::text(object, &["kind"]),
    );
    RESOURCES
        .iter()
        .find(|one| one.kind == kind && one.api_version() == version)
}

/// Status is not accepted at creation, so it is reported as a kubelet would.
fn report(
    cluster: &mut Cluster,
    resource: &'static Resource,
    namespace: &str,
    name: &str,
    status: Value,
) {
    let Some(live) = cluster.store.get(resource, namespace, name).cloned() else {
        return;
    };
    let mut object = Value::clone(&live);
    let now = cluster.environment.timestamp();
    tree::put(&mut object, &["status"], status);
    let conditions = object
        .pointer_mut("/status/conditions")
        .and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten() {
        tree::put(condition, &["lastHeartbeatTime"], now.as_str());
        tree::put(condition, &["lastTransitionTime"], now.as_str());
    }
    let writer = Writer {
        manager: "kubelet".to_owned(),
        api_version: resource.api_version(),
        subresource: "status".to_owned(),
        time: now,
    };
    let shape = write::shape_of(resource);
    managed_fields::record_update(&shape, Some(&live), &mut object, &writer);
    cluster.store.put(resource, object);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources;

    #[test]
    fn a_fresh_cluster_is_furnished_and_planting_again_changes_nothing() {
        let mut cluster = Cluster::default();
        plant(&mut cluster).expect("planted");
        let count = |plural: &str| {
            let resource = resources::stored("", plural).expect("served");
            cluster.store.list(resource, None).count()
        };
        assert_eq!(
            (
                count("namespaces"),
                count("serviceaccounts"),
                count("nodes")
            ),
            (4, 4, 1)
        );
        let revision = cluster.store.revision();
        plant(&mut cluster).expect("planted");
        assert_eq!(cluster.store.revision(), revision);
    }

    #[test]
    fn the_admin_role_collects_the_rules_of_edit_and_view() {
        let mut cluster = Cluster::default();
        plant(&mut cluster).expect("planted");
        let roles = resources::stored("rbac.authorization.k8s.io", "clusterroles").expect("served");
        let count = |name: &str| {
            let role = cluster.store.get(roles, "", name).expect("present");
            tree::items(role, &["rules"]).len()
        };
        assert!(count("view") > 0);
        assert!(count("edit") > count("view"));
        assert!(count("admin") > count("edit"));
    }
}
