//! What goes with an object that is gone: the objects that name it as their only owner.

use std::sync::Arc;

use serde_json::Value;

use crate::cluster::{Cluster, settle};
use crate::resources::{self, Resource};
use crate::store::key_of;
use crate::{delete, tree};

/// Deletes the dependents of an object that is gone, or with `orphan` only cuts the reference.
pub fn collect(cluster: &mut Cluster, gone: &Value, orphan: bool) {
    let uid = tree::text(gone, &["metadata", "uid"]);
    for (resource, dependent) in dependents(cluster, uid) {
        let owners = tree::items(&dependent, &["metadata", "ownerReferences"]);
        let others: Vec<Value> = owners
            .iter()
            .filter(|owner| tree::text(owner, &["uid"]) != uid)
            .cloned()
            .collect();
        if orphan
            || others
                .iter()
                .any(|owner| is_present(cluster, &dependent, owner))
        {
            let mut object = Value::clone(&dependent);
            tree::put(&mut object, &["metadata", "ownerReferences"], others);
            cluster.store.put(resource, object);
            settle(cluster, resource, &key_of(&dependent));
        } else {
            delete::remove(cluster, resource, &dependent, false);
        }
    }
}

fn dependents(cluster: &Cluster, uid: &str) -> Vec<(&'static Resource, Arc<Value>)> {
    let is_owned = |object: &Arc<Value>| {
        tree::items(object, &["metadata", "ownerReferences"])
            .iter()
            .any(|owner| tree::text(owner, &["uid"]) == uid)
    };
    cluster
        .store
        .tables()
        .flat_map(|(resource, objects)| objects.values().map(move |object| (resource, object)))
        .filter(|(_, object)| is_owned(object))
        .map(|(resource, object)| (resource, Arc::clone(object)))
        .collect()
}

fn is_present(cluster: &Cluster, dependent: &Value, owner: &Value) -> bool {
    let (namespace, _) = key_of(dependent);
    let (api_version, kind) = (
        tree::text(owner, &["apiVersion"]),
        tree::text(owner, &["kind"]),
    );
    let found = resources::RESOURCES
        .iter()
        .find(|one| one.kind == kind && one.api_version() == api_version)
        .and_then(|one| {
            let place = if one.namespaced {
                namespace.as_str()
            } else {
                ""
            };
            cluster.store.get(one, place, tree::text(owner, &["name"]))
        });
    found.is_some_and(|object| {
        tree::text(object, &["metadata", "uid"]) == tree::text(owner, &["uid"])
    })
}
