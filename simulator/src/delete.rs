//! Deletion: gone at once, or marked until the last finalizer lets go.

use std::sync::Arc;

use serde_json::Value;

use crate::cluster::{Cluster, settle};
use crate::resources::Resource;
use crate::status::Failure;
use crate::store::key_of;
use crate::{garbage, metadata, namespace, tree};

/// What a client asks for with a deletion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// Only if this is the object's uid.
    pub uid: Option<String>,
    /// Only if this is the object's resource version.
    pub resource_version: Option<String>,
    /// Dependents stay and lose the reference.
    pub orphan: bool,
}

/// What became of the object.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It is gone; this was its last state.
    Gone(Arc<Value>),
    /// It is marked and waits for its finalizers.
    Marked(Arc<Value>),
}

/// Deletes one object.
///
/// # Errors
/// 404 when there is none, 409 when a precondition does not hold, 403 for a permanent namespace.
pub fn delete(
    cluster: &mut Cluster,
    resource: &'static Resource,
    in_namespace: &str,
    name: &str,
    options: &DeleteOptions,
) -> Result<Outcome, Failure> {
    let live = cluster
        .store
        .get(resource, in_namespace, name)
        .cloned()
        .ok_or_else(|| Failure::not_found(resource, name))?;
    check_preconditions(resource, &live, options)?;
    namespace::refuse_permanent(resource, name)?;
    Ok(remove(cluster, resource, &live, options.orphan))
}

fn check_preconditions(
    resource: &Resource,
    live: &Value,
    options: &DeleteOptions,
) -> Result<(), Failure> {
    for (title, field, wanted, hint) in [
        ("UID", "uid", &options.uid, "deleted and then recreated"),
        (
            "ResourceVersion",
            "resourceVersion",
            &options.resource_version,
            "modified",
        ),
    ] {
        let found = tree::text(live, &["metadata", field]);
        if let Some(wanted) = wanted.as_deref().filter(|wanted| *wanted != found) {
            let why = format!(
                "the {title} in the precondition ({wanted}) does not match the {title} in record \
                 ({found}). The object might have been {hint}"
            );
            let name = tree::text(live, &["metadata", "name"]);
            return Err(Failure::conflict(resource, name, &why));
        }
    }
    Ok(())
}

/// Removes an object, or marks it where finalizers hold it.
pub fn remove(
    cluster: &mut Cluster,
    resource: &'static Resource,
    live: &Arc<Value>,
    orphan: bool,
) -> Outcome {
    let key = key_of(live);
    let mut marked = Value::clone(live);
    let is_marked = tree::at(live, &["metadata", "deletionTimestamp"]).is_some();
    if !is_marked {
        let now = cluster.environment.timestamp();
        namespace::mark_for_deletion(resource, &mut marked, &now);
    }
    let outcome = if metadata::is_ready_to_go(&marked) {
        let last = cluster.store.remove(resource, &key.0, &key.1);
        garbage::collect(cluster, live, orphan);
        Outcome::Gone(last.unwrap_or_else(|| Arc::clone(live)))
    } else if is_marked {
        Outcome::Marked(Arc::clone(live))
    } else {
        Outcome::Marked(cluster.store.put(resource, marked))
    };
    settle(cluster, resource, &key);
    outcome
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resources;

    fn cluster_with(metadata: &Value) -> (Cluster, &'static Resource) {
        let resource = resources::find("", "v1", "nodes").expect("served");
        let mut cluster = Cluster::default();
        cluster.store.put(resource, json!({"metadata": metadata}));
        (cluster, resource)
    }

    #[test]
    fn a_finalizer_holds_the_object_and_a_second_deletion_changes_nothing() {
        let (mut cluster, nodes) = cluster_with(&json!({"name": "a", "finalizers": ["x/y"]}));
        let options = DeleteOptions::default();
        let first = delete(&mut cluster, nodes, "", "a", &options).expect("marked");
        let second = delete(&mut cluster, nodes, "", "a", &options).expect("marked");
        assert!(matches!(&first, Outcome::Marked(object)
            if tree::at(object, &["metadata", "deletionTimestamp"]).is_some()));
        assert_eq!(first, second);
    }

    #[test]
    fn dependents_go_with_their_only_owner() {
        let (mut cluster, nodes) = cluster_with(&json!({"name": "a", "uid": "1"}));
        let owner = json!({"apiVersion": "v1", "kind": "Node", "name": "a", "uid": "1"});
        cluster.store.put(
            nodes,
            json!({"metadata": {"name": "b", "uid": "2", "ownerReferences": [owner]}}),
        );
        delete(&mut cluster, nodes, "", "a", &DeleteOptions::default()).expect("gone");
        assert_eq!(cluster.store.list(nodes, None).count(), 0);
    }

    #[test]
    fn a_wrong_precondition_is_a_conflict() {
        let (mut cluster, nodes) = cluster_with(&json!({"name": "a", "uid": "1"}));
        let options = DeleteOptions {
            uid: Some("2".to_owned()),
            ..DeleteOptions::default()
        };
        let failure = delete(&mut cluster, nodes, "", "a", &options).expect_err("refused");
        assert_eq!((failure.code, failure.reason), (409, "Conflict"));
    }
}
