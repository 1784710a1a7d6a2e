//! What cannot be changed after creation, kind by kind.

use serde_json::{Value, json};

use crate::resources::Resource;
use crate::status::Cause;
use crate::tree;

const IMMUTABLE: &str = "field is immutable";

/// Fields that keep their value: kind, path, and how the refusal reads.
const FIELDS: &[(&str, &[&str], &str)] = &[
    ("Deployment", &["spec", "selector"], IMMUTABLE),
    ("DaemonSet", &["spec", "selector"], IMMUTABLE),
    ("ReplicaSet", &["spec", "selector"], IMMUTABLE),
    ("StatefulSet", &["spec", "selector"], IMMUTABLE),
    ("StatefulSet", &["spec", "serviceName"], IMMUTABLE),
    ("StatefulSet", &["spec", "volumeClaimTemplates"], IMMUTABLE),
    ("Job", &["spec", "selector"], IMMUTABLE),
    ("Job", &["spec", "template"], IMMUTABLE),
    ("Job", &["spec", "completionMode"], IMMUTABLE),
    ("RoleBinding", &["roleRef"], "cannot change roleRef"),
    ("ClusterRoleBinding", &["roleRef"], "cannot change roleRef"),
    ("Secret", &["type"], IMMUTABLE),
    ("Service", &["spec", "clusterIP"], IMMUTABLE),
    (
        "StorageClass",
        &["provisioner"],
        "updates to provisioner are forbidden.",
    ),
    (
        "StorageClass",
        &["parameters"],
        "updates to parameters are forbidden.",
    ),
    (
        "StorageClass",
        &["reclaimPolicy"],
        "updates to reclaimPolicy are forbidden.",
    ),
    (
        "PriorityClass",
        &["value"],
        "may not be changed in an update.",
    ),
    ("IngressClass", &["spec", "controller"], IMMUTABLE),
    ("EndpointSlice", &["addressType"], IMMUTABLE),
];

/// Parts of a pod that may change while it runs.
const POD_CHANGEABLE: &[&str] = &[
    "activeDeadlineSeconds",
    "tolerations",
    "terminationGracePeriodSeconds",
    "nodeName",
];

/// What is wrong with changing `live` into `object`.
pub fn check(resource: &Resource, live: &Value, object: &Value) -> Vec<Cause> {
    let mut causes: Vec<Cause> = FIELDS
        .iter()
        .filter(|(kind, path, _)| {
            *kind == resource.kind && tree::at(live, path) != tree::at(object, path)
        })
        .map(|(_, path, why)| {
            let value = tree::at(object, path).unwrap_or(&Value::Null);
            Cause::invalid(path.join("."), value, why)
        })
        .collect();
    match resource.kind {
        "ConfigMap" => sealed(live, object, &["data", "binaryData"], &mut causes),
        "Secret" => sealed(live, object, &["data"], &mut causes),
        "Pod" => pod(live, object, &mut causes),
        "PersistentVolumeClaim" => claim(live, object, &mut causes),
        _ => {}
    }
    causes
}

fn sealed(live: &Value, object: &Value, fields: &[&str], causes: &mut Vec<Cause>) {
    if live.get("immutable") != Some(&json!(true)) {
        return;
    }
    let is_changed = |name: &&str| live.get(*name) != object.get(*name);
    for field in fields
        .iter()
        .copied()
        .chain(["immutable"])
        .filter(is_changed)
    {
        let why = "field is immutable when `immutable` is set";
        causes.push(Cause::forbidden(field, why));
    }
}

fn pod(live: &Value, object: &Value, causes: &mut Vec<Cause>) {
    let fixed = |pod: &Value| {
        let mut spec = pod.get("spec").cloned().unwrap_or_default();
        for name in POD_CHANGEABLE {
            tree::take(&mut spec, &[name]);
        }
        for list in ["containers", "initContainers"] {
            let items = spec.get_mut(list).and_then(Value::as_array_mut);
            for container in items.into_iter().flatten() {
                tree::take(container, &["image"]);
            }
        }
        spec
    };
    if fixed(live) != fixed(object) {
        let why = "pod updates may not change fields other than `spec.containers[*].image`,\
            `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only \
            additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to \
            be set to 1 if it was previously negative)";
        causes.push(Cause::forbidden("spec", why));
    }
}

fn claim(live: &Value, object: &Value, causes: &mut Vec<Cause>) {
    let fixed = |claim: &Value| {
        let mut spec = claim.get("spec").cloned().unwrap_or_default();
        tree::take(&mut spec, &["resources"]);
        tree::take(&mut spec, &["volumeAttributesClassName"]);
        // Binding a claim is a change of its spec by the volume controller.
        tree::take(&mut spec, &["volumeName"]);
        spec
    };
    if fixed(live) != fixed(object) {
        let why = "spec is immutable after creation except resources.requests and \
            volumeAttributesClassName for bound claims";
        causes.push(Cause::forbidden("spec", why));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources;

    #[test]
    fn a_role_binding_keeps_its_role() {
        let resource =
            resources::find("rbac.authorization.k8s.io", "v1", "rolebindings").expect("served");
        let live = json!({"roleRef": {"name": "a"}, "subjects": []});
        let found = check(
            resource,
            &live,
            &json!({"roleRef": {"name": "b"}, "subjects": [1]}),
        );
        assert_eq!(
            found,
            [Cause::invalid(
                "roleRef",
                &json!({"name": "b"}),
                "cannot change roleRef"
            )]
        );
    }

    #[test]
    fn a_sealed_config_map_keeps_its_data() {
        let resource = resources::find("", "v1", "configmaps").expect("served");
        let live = json!({"immutable": true, "data": {"a": "1"}});
        assert_eq!(
            check(
                resource,
                &live,
                &json!({"immutable": true, "data": {"a": "2"}})
            )
            .len(),
            1
        );
        assert!(check(resource, &live, &live).is_empty());
    }
}
