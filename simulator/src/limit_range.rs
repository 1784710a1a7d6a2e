//! Container defaults from the namespace's `LimitRange` objects, filled in when a pod is created.

use serde_json::Value;

use crate::resources::{self, Resource};
use crate::store::Store;
use crate::tree;

/// Gives the containers of a new pod the requests and limits that they leave out.
pub fn fill(store: &Store, resource: &Resource, object: &mut Value) {
    let Some(ranges) = resources::stored("", "limitranges").filter(|_| resource.kind == "Pod")
    else {
        return;
    };
    let namespace = tree::text(object, &["metadata", "namespace"]).to_owned();
    let limits: Vec<Value> = store
        .list(ranges, Some(&namespace))
        .flat_map(|range| tree::items(range, &["spec", "limits"]))
        .filter(|item| tree::text(item, &["type"]) == "Container")
        .cloned()
        .collect();
    for list in ["/spec/initContainers", "/spec/containers"] {
        let containers = object.pointer_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            for item in &limits {
                fill_container(item, container);
            }
        }
    }
}

fn fill_container(item: &Value, container: &mut Value) {
    for (list, source) in [("limits", "default"), ("requests", "defaultRequest")] {
        let source = item.get(source).and_then(Value::as_object).cloned();
        for (name, amount) in source.into_iter().flatten() {
            tree::put_default(container, &["resources", list, &name], amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_container_without_amounts_takes_the_defaults() {
        let item = json!({"default": {"cpu": "500m"}, "defaultRequest": {"cpu": "50m"}});
        let mut container = json!({"name": "a"});
        fill_container(&item, &mut container);
        assert_eq!(
            container["resources"],
            json!({"limits": {"cpu": "500m"}, "requests": {"cpu": "50m"}})
        );
    }
}
