//! The simulated cluster: its objects, its clock, and what happens by itself after a write.

use crate::identity::Identity;
use crate::managed_fields::Writer;
use crate::metadata::Environment;
use crate::resources::Resource;
use crate::store::{Key, Store};
use crate::{aggregate, namespace, quota};

/// Field manager of what the cluster does by itself.
const CONTROLLER: &str = "kube-controller-manager";

/// Everything that requests read and change.
#[derive(Debug, Default)]
pub struct Cluster {
    /// The objects.
    pub store: Store,
    /// Time and randomness.
    pub environment: Environment,
}

impl Cluster {
    /// A copy to try a write on, for dry runs.
    pub fn scratch(&self) -> Self {
        Self {
            store: self.store.scratch(),
            environment: self.environment,
        }
    }
}

/// Who makes a write and how it is recorded.
#[derive(Debug)]
pub struct Actor<'a> {
    /// The caller.
    pub identity: &'a Identity,
    /// How ownership is recorded.
    pub writer: Writer,
}

/// The record of a write by the cluster itself.
pub fn controller(cluster: &Cluster, subresource: &str) -> Writer {
    Writer {
        manager: CONTROLLER.to_owned(),
        api_version: "v1".to_owned(),
        subresource: subresource.to_owned(),
        time: cluster.environment.timestamp(),
    }
}

/// Does what the controllers of a real cluster would do after this write, before anybody looks:
/// furnish new namespaces, empty dying ones, count quotas, aggregate roles.
pub fn settle(cluster: &mut Cluster, resource: &Resource, key: &Key) {
    let (in_namespace, name) = key;
    if resource.kind == "ClusterRole" {
        aggregate::refresh(cluster);
    }
    if resource.kind == "Namespace" {
        namespace::settle(cluster, name);
    }
    if !in_namespace.is_empty() {
        namespace::settle(cluster, in_namespace);
        quota::refresh(cluster, in_namespace);
    }
}
