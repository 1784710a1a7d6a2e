//! What the server decides about a new object of its kind and keeps afterwards: addresses,
//! selectors, first status.

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::resources::Resource;
use crate::tree;

const FINALIZER: &str = "kubernetes";

/// Fills in what is decided once, at creation.
pub fn complete(resource: &Resource, object: &mut Value, cluster: &Cluster) {
    match resource.kind {
        "Namespace" => namespace(object),
        "Pod" => {
            let class = quality_of_service(object);
            tree::put(
                object,
                &["status"],
                json!({"phase": "Pending", "qosClass": class}),
            );
        }
        "Service" => service(object, cluster.store.revision()),
        "Job" => job(object),
        _ => {}
    }
}

/// Carries over what a client may leave out of a change because the server decided it.
pub fn keep(resource: &Resource, live: &Value, object: &mut Value) {
    let fields: &[&[&str]] = match resource.kind {
        "Service" => &[&["spec", "clusterIP"], &["spec", "clusterIPs"]],
        "Job" => &[&["spec", "selector"]],
        _ => &[],
    };
    for path in fields {
        if tree::at(object, path).is_none() {
            tree::carry(live, object, path);
        }
    }
}

fn namespace(object: &mut Value) {
    let mut finalizers: Vec<Value> = tree::items(object, &["spec", "finalizers"]).to_vec();
    if !finalizers.iter().any(|one| one == FINALIZER) {
        finalizers.push(json!(FINALIZER));
    }
    tree::put(object, &["spec", "finalizers"], finalizers);
    tree::put(object, &["status", "phase"], "Active");
}

fn service(object: &mut Value, revision: u64) {
    if tree::text(object, &["spec", "type"]) == "ExternalName" {
        return;
    }
    // Consecutive revisions give distinct addresses for the first 62,500 services.
    let (high, low) = (revision / 250 % 250, revision % 250 + 1);
    tree::put_default(
        object,
        &["spec", "clusterIP"],
        format!("10.96.{high}.{low}"),
    );
    let address = tree::at(object, &["spec", "clusterIP"])
        .cloned()
        .unwrap_or_default();
    tree::put_default(object, &["spec", "clusterIPs"], json!([address]));
    let kind = tree::text(object, &["spec", "type"]).to_owned();
    if kind == "NodePort" || kind == "LoadBalancer" {
        let ports = object
            .pointer_mut("/spec/ports")
            .and_then(Value::as_array_mut);
        for (index, port) in (0_u64..).zip(ports.into_iter().flatten()) {
            tree::put_default(port, &["nodePort"], 30_000 + (revision + index) % 2_768);
        }
    }
}

fn job(object: &mut Value) {
    let uid = tree::text(object, &["metadata", "uid"]).to_owned();
    let name = tree::text(object, &["metadata", "name"]).to_owned();
    if tree::at(object, &["spec", "manualSelector"]) == Some(&json!(true)) {
        return;
    }
    let labels = ["spec", "template", "metadata", "labels"];
    for (key, value) in [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("job-name", &name),
    ] {
        tree::map_mut(object, &labels).insert(key.to_owned(), json!(value));
    }
    let selector = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
    tree::put(object, &["spec", "selector"], selector);
}

fn quality_of_service(pod: &Value) -> &'static str {
    let containers = tree::items(pod, &["spec", "containers"]);
    let amounts = |list: &'static str| {
        containers.iter().map(move |container| {
            ["cpu", "memory"].map(|name| tree::text(container, &["resources", list, name]))
        })
    };
    let has_any = amounts("requests")
        .chain(amounts("limits"))
        .flatten()
        .any(|one| !one.is_empty());
    let is_full = amounts("limits").flatten().all(|one| !one.is_empty())
        && amounts("requests")
            .flatten()
            .zip(amounts("limits").flatten())
            .all(|(request, limit)| request.is_empty() || request == limit);
    match (has_any, is_full) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_with_equal_requests_and_limits_is_guaranteed() {
        let amounts = json!({"cpu": "1", "memory": "1Gi"});
        let pod = |resources: Value| json!({"spec": {"containers": [{"resources": resources}]}});
        for (resources, class) in [
            (json!({}), "BestEffort"),
            (json!({"limits": amounts}), "Guaranteed"),
            (json!({"requests": amounts}), "Burstable"),
        ] {
            assert_eq!(quality_of_service(&pod(resources)), class);
        }
    }

    #[test]
    fn a_namespace_is_born_active_and_held_by_its_finalizer() {
        let mut object = json!({"metadata": {"name": "a"}, "spec": {"finalizers": ["x/y"]}});
        namespace(&mut object);
        assert_eq!(object["spec"]["finalizers"], json!(["x/y", "kubernetes"]));
        assert_eq!(object["status"]["phase"], "Active");
    }
}
