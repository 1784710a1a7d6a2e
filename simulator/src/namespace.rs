//! The life of a namespace: who may create in it, what it starts with, how it ends.

use serde_json::{Value, json};

use crate::cluster::{Cluster, controller};
use crate::resources::{self, RESOURCES, Resource};
use crate::status::{Cause, Failure};
use crate::store::Store;
use crate::termination::Remaining;
use crate::{managed_fields, metadata, quota, tree, write};

/// Namespaces that cannot be deleted.
const PERMANENT: &[&str] = &["default", "kube-system", "kube-public"];
const FINALIZER: &str = "kubernetes";
/// Stands where a real cluster has the certificate of its authority: plain HTTP needs none.
const ROOT_CERTIFICATE: &str = "# This API server speaks plain HTTP: there is no authority.\n";

fn namespaces() -> Option<&'static Resource> {
    resources::stored("", "namespaces")
}

fn is_terminating(namespace: &Value) -> bool {
    tree::at(namespace, &["metadata", "deletionTimestamp"]).is_some()
}

/// Refuses to create in a namespace that is missing or being deleted.
///
/// # Errors
/// 404 for a missing one, 403 with cause `NamespaceTerminating` for a dying one.
pub fn admit(
    store: &Store,
    resource: &Resource,
    in_namespace: &str,
    name: &str,
) -> Result<(), Failure> {
    let Some(namespaces) = namespaces().filter(|_| resource.namespaced) else {
        return Ok(());
    };
    let Some(found) = store.get(namespaces, "", in_namespace) else {
        return Err(Failure::not_found(namespaces, in_namespace));
    };
    if !is_terminating(found) {
        return Ok(());
    }
    let why = format!(
        "unable to create new content in namespace {in_namespace} because it is being terminated"
    );
    let cause = Cause::plain(
        "NamespaceTerminating",
        format!("namespace {in_namespace} is being terminated"),
        "metadata.namespace",
    );
    Err(Failure::forbidden(resource, name, &why).with_causes(&[cause]))
}

/// Refuses to delete the namespaces that a cluster cannot be without.
///
/// # Errors
/// 403 for one of them.
pub fn refuse_permanent(resource: &Resource, name: &str) -> Result<(), Failure> {
    if resource.kind == "Namespace" && PERMANENT.contains(&name) {
        return Err(Failure::forbidden(
            resource,
            name,
            "this namespace may not be deleted",
        ));
    }
    Ok(())
}

/// Brings every namespace to rest.
pub fn settle_all(cluster: &mut Cluster) {
    let Some(namespaces) = namespaces() else {
        return;
    };
    let names: Vec<String> = cluster
        .store
        .list(namespaces, None)
        .map(|one| tree::text(one, &["metadata", "name"]).to_owned())
        .collect();
    for name in names {
        settle(cluster, &name);
    }
}

/// Furnishes a living namespace, or empties a dying one and removes it when nothing is left.
pub fn settle(cluster: &mut Cluster, name: &str) {
    let Some(namespaces) = namespaces() else {
        return;
    };
    let Some(found) = cluster.store.get(namespaces, "", name).cloned() else {
        return;
    };
    if is_terminating(&found) {
        empty(cluster, namespaces, name);
    } else {
        furnish(cluster, name);
    }
}

/// Every namespace has a `default` account and the certificate bundle of the cluster.
fn furnish(cluster: &mut Cluster, namespace: &str) {
    let account = json!({"kind": "ServiceAccount", "apiVersion": "v1",
        "metadata": {"name": "default"}});
    let bundle = json!({"kind": "ConfigMap", "apiVersion": "v1",
        "metadata": {"name": "kube-root-ca.crt", "annotations": {"kubernetes.io/description":
            "Root certificates that verify the API server of this cluster."}},
        "data": {"ca.crt": ROOT_CERTIFICATE}});
    for (plural, mut object) in [("serviceaccounts", account), ("configmaps", bundle)] {
        let Some(resource) = resources::stored("", plural) else {
            continue;
        };
        let name = tree::text(&object, &["metadata", "name"]).to_owned();
        if cluster.store.get(resource, namespace, &name).is_some() {
            continue;
        }
        metadata::born(resource, &mut object, namespace, &cluster.environment);
        let writer = controller(cluster, "");
        managed_fields::record_update(&write::shape_of(resource), None, &mut object, &writer);
        cluster.store.put(resource, object);
        quota::refresh(cluster, namespace);
    }
}

fn empty(cluster: &mut Cluster, namespaces: &'static Resource, name: &str) {
    let remaining = delete_contents(cluster, name);
    let Some(found) = cluster.store.get(namespaces, "", name).cloned() else {
        return;
    };
    let mut object = Value::clone(&found);
    remaining.describe(&mut object, &cluster.environment.timestamp());
    if remaining.is_empty()
        && let Some(list) = object
            .pointer_mut("/spec/finalizers")
            .and_then(Value::as_array_mut)
    {
        list.retain(|one| one != FINALIZER);
    }
    if object == *found {
        return;
    }
    let is_gone = metadata::is_ready_to_go(&object);
    let writer = controller(cluster, "status");
    let shape = write::shape_of(namespaces);
    managed_fields::record_update(&shape, Some(&found), &mut object, &writer);
    cluster.store.put(namespaces, object);
    if is_gone {
        cluster.store.remove(namespaces, "", name);
    }
}

fn delete_contents(cluster: &mut Cluster, namespace: &str) -> Remaining {
    let mut remaining = Remaining::default();
    for resource in RESOURCES
        .iter()
        .filter(|one| one.namespaced && one.is_stored())
    {
        let objects: Vec<_> = cluster
            .store
            .list(resource, Some(namespace))
            .cloned()
            .collect();
        for object in objects {
            let finalizers = tree::texts(&object, &["metadata", "finalizers"]);
            let name = tree::text(&object, &["metadata", "name"]);
            if finalizers.is_empty() {
                cluster.store.remove(resource, namespace, name);
                continue;
            }
            remaining.add(resource, &finalizers);
            if tree::at(&object, &["metadata", "deletionTimestamp"]).is_none() {
                let mut marked = Value::clone(&object);
                mark_for_deletion(resource, &mut marked, &cluster.environment.timestamp());
                cluster.store.put(resource, marked);
            }
        }
    }
    remaining
}

/// Records that an object is to go as soon as its finalizers are gone.
pub fn mark_for_deletion(resource: &Resource, object: &mut Value, now: &str) {
    tree::put(object, &["metadata", "deletionTimestamp"], now);
    if resource.kind == "Namespace" {
        tree::put(object, &["status", "phase"], "Terminating");
    } else {
        tree::put(object, &["metadata", "deletionGracePeriodSeconds"], 0);
    }
    if resource.generation {
        metadata::bump_generation(object);
    }
}
