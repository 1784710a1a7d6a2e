//! Values that the API server fills in where a client leaves them out. Filling in twice changes
//! nothing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::resources::Resource;
use crate::tree::{self, put_default};

const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// Fills in the defaults of a kind.
pub fn fill(resource: &Resource, object: &mut Value) {
    match resource.kind {
        "Namespace" => namespace(object),
        "Secret" => secret(object),
        "Service" => service(object),
        "Pod" => pod(object),
        "Deployment" => deployment(object),
        "StatefulSet" => stateful_set(object),
        "DaemonSet" => daemon_set(object),
        "ReplicaSet" | "ReplicationController" => replicas(object),
        "Job" => job(tree_entry(object, "spec")),
        "CronJob" => cron_job(object),
        "RoleBinding" | "ClusterRoleBinding" => binding(object),
        "NetworkPolicy" => network_policy(object),
        "PersistentVolumeClaim" => claim(object),
        "PersistentVolume" => volume(object),
        "HorizontalPodAutoscaler" => put_default(object, &["spec", "minReplicas"], 1),
        "StorageClass" => {
            put_default(object, &["reclaimPolicy"], "Delete");
            put_default(object, &["volumeBindingMode"], "Immediate");
        }
        "PriorityClass" => {
            put_default(object, &["value"], 0);
            put_default(object, &["preemptionPolicy"], "PreemptLowerPriority");
        }
        "LimitRange" => limit_range(object),
        "ValidatingAdmissionPolicy" => put_default(object, &["spec", "failurePolicy"], "Fail"),
        _ => {}
    }
}

fn tree_entry<'a>(object: &'a mut Value, name: &str) -> &'a mut Value {
    tree::map_mut(object, &[])
        .entry(name)
        .or_insert_with(|| json!({}))
}

fn entries<'a>(object: &'a mut Value, path: &[&str]) -> impl Iterator<Item = &'a mut Value> {
    let list = path
        .iter()
        .try_fold(object, |here, step| here.get_mut(*step));
    list.and_then(Value::as_array_mut).into_iter().flatten()
}

fn namespace(object: &mut Value) {
    let name = tree::text(object, &["metadata", "name"]).to_owned();
    tree::put(
        object,
        &["metadata", "labels", "kubernetes.io/metadata.name"],
        name,
    );
}

fn secret(object: &mut Value) {
    put_default(object, &["type"], "Opaque");
    if let Some(Value::Object(plain)) = tree::take(object, &["stringData"]) {
        for (key, value) in plain {
            let encoded = STANDARD.encode(value.as_str().unwrap_or_default());
            tree::put(object, &["data", &key], encoded);
        }
    }
}

fn service(object: &mut Value) {
    put_default(object, &["spec", "type"], "ClusterIP");
    put_default(object, &["spec", "sessionAffinity"], "None");
    if tree::text(object, &["spec", "type"]) != "ExternalName" {
        put_default(object, &["spec", "internalTrafficPolicy"], "Cluster");
        put_default(object, &["spec", "ipFamilies"], json!(["IPv4"]));
        put_default(object, &["spec", "ipFamilyPolicy"], "SingleStack");
    }
    put_default(object, &["status", "loadBalancer"], json!({}));
    for port in entries(object, &["spec", "ports"]) {
        put_default(port, &["protocol"], "TCP");
        if let Some(number) = port.get("port").cloned() {
            put_default(port, &["targetPort"], number);
        }
    }
}

fn pod(object: &mut Value) {
    put_default(object, &["spec", "serviceAccountName"], "default");
    pod_spec(tree_entry(object, "spec"));
    for list in ["initContainers", "containers"] {
        entries(object, &["spec", list]).for_each(request_limits);
    }
    put_default(object, &["spec", "enableServiceLinks"], true);
    put_default(
        object,
        &["spec", "preemptionPolicy"],
        "PreemptLowerPriority",
    );
    put_default(object, &["spec", "priority"], 0);
}

/// What a pod's container may use at most is also what it asks for, unless it says otherwise.
fn request_limits(container: &mut Value) {
    let limits = tree::at(container, &["resources", "limits"])
        .and_then(Value::as_object)
        .cloned();
    for (name, amount) in limits.into_iter().flatten() {
        put_default(container, &["resources", "requests", &name], amount);
    }
}

fn pod_spec(spec: &mut Value) {
    put_default(spec, &["restartPolicy"], "Always");
    put_default(spec, &["dnsPolicy"], "ClusterFirst");
    put_default(spec, &["schedulerName"], "default-scheduler");
    put_default(spec, &["terminationGracePeriodSeconds"], 30);
    put_default(spec, &["securityContext"], json!({}));
    if let Some(account) = spec.get("serviceAccountName").cloned() {
        tree::put(spec, &["serviceAccount"], account);
    }
    for list in ["initContainers", "containers"] {
        for container in entries(spec, &[list]) {
            container_defaults(container);
        }
    }
}

fn container_defaults(container: &mut Value) {
    put_default(
        container,
        &["terminationMessagePath"],
        "/dev/termination-log",
    );
    put_default(container, &["terminationMessagePolicy"], "File");
    put_default(container, &["resources"], json!({}));
    let image = tree::text(container, &["image"]);
    let last = image.rsplit('/').next().unwrap_or_default();
    let is_floating = !last.contains([':', '@']) || last.ends_with(":latest");
    if !image.is_empty() {
        let policy = if is_floating {
            "Always"
        } else {
            "IfNotPresent"
        };
        put_default(container, &["imagePullPolicy"], policy);
    }
    for port in entries(container, &["ports"]) {
        put_default(port, &["protocol"], "TCP");
    }
}

fn template(object: &mut Value) {
    pod_spec(tree_entry(
        tree_entry(tree_entry(object, "spec"), "template"),
        "spec",
    ));
}

fn replicas(object: &mut Value) {
    put_default(object, &["spec", "replicas"], 1);
    if tree::at(object, &["spec", "template"]).is_some() {
        template(object);
    }
}

fn deployment(object: &mut Value) {
    replicas(object);
    put_default(object, &["spec", "revisionHistoryLimit"], 10);
    put_default(object, &["spec", "progressDeadlineSeconds"], 600);
    put_default(object, &["spec", "strategy", "type"], "RollingUpdate");
    if tree::text(object, &["spec", "strategy", "type"]) == "RollingUpdate" {
        put_default(
            object,
            &["spec", "strategy", "rollingUpdate", "maxUnavailable"],
            "25%",
        );
        put_default(
            object,
            &["spec", "strategy", "rollingUpdate", "maxSurge"],
            "25%",
        );
    }
}

fn stateful_set(object: &mut Value) {
    replicas(object);
    put_default(object, &["spec", "revisionHistoryLimit"], 10);
    put_default(object, &["spec", "podManagementPolicy"], "OrderedReady");
    put_default(object, &["spec", "updateStrategy", "type"], "RollingUpdate");
    if tree::text(object, &["spec", "updateStrategy", "type"]) == "RollingUpdate" {
        put_default(
            object,
            &["spec", "updateStrategy", "rollingUpdate", "partition"],
            0,
        );
    }
    for one in entries(object, &["spec", "volumeClaimTemplates"]) {
        put_default(one, &["spec", "volumeMode"], "Filesystem");
    }
}

fn daemon_set(object: &mut Value) {
    template(object);
    put_default(object, &["spec", "revisionHistoryLimit"], 10);
    put_default(object, &["spec", "updateStrategy", "type"], "RollingUpdate");
    if tree::text(object, &["spec", "updateStrategy", "type"]) == "RollingUpdate" {
        put_default(
            object,
            &["spec", "updateStrategy", "rollingUpdate", "maxUnavailable"],
            1,
        );
        put_default(
            object,
            &["spec", "updateStrategy", "rollingUpdate", "maxSurge"],
            0,
        );
    }
}

fn job(spec: &mut Value) {
    if spec.get("completions").is_none() && spec.get("parallelism").is_none() {
        put_default(spec, &["completions"], 1);
    }
    put_default(spec, &["parallelism"], 1);
    put_default(spec, &["backoffLimit"], 6);
    put_default(spec, &["completionMode"], "NonIndexed");
    put_default(spec, &["suspend"], false);
    put_default(spec, &["podReplacementPolicy"], "TerminatingOrFailed");
    if let Some(template) = spec.get_mut("template") {
        pod_spec_of_job(tree_entry(template, "spec"));
    }
}

fn pod_spec_of_job(spec: &mut Value) {
    let policy = spec.get("restartPolicy").cloned();
    pod_spec(spec);
    // A job must say how its pods restart: the pod's own default would hide that it did not.
    if policy.is_none() {
        tree::take(spec, &["restartPolicy"]);
    }
}

fn cron_job(object: &mut Value) {
    put_default(object, &["spec", "concurrencyPolicy"], "Allow");
    put_default(object, &["spec", "suspend"], false);
    put_default(object, &["spec", "successfulJobsHistoryLimit"], 3);
    put_default(object, &["spec", "failedJobsHistoryLimit"], 1);
    if let Some(template) = object.pointer_mut("/spec/jobTemplate/spec/template") {
        pod_spec_of_job(tree_entry(template, "spec"));
    }
}

fn binding(object: &mut Value) {
    if tree::at(object, &["roleRef"]).is_some() {
        put_default(object, &["roleRef", "apiGroup"], RBAC_GROUP);
    }
    for subject in entries(object, &["subjects"]) {
        if ["User", "Group"].contains(&tree::text(subject, &["kind"])) {
            put_default(subject, &["apiGroup"], RBAC_GROUP);
        }
    }
}

fn network_policy(object: &mut Value) {
    put_default(object, &["spec", "podSelector"], json!({}));
    let has_egress = !tree::items(object, &["spec", "egress"]).is_empty();
    let types = if has_egress {
        json!(["Ingress", "Egress"])
    } else {
        json!(["Ingress"])
    };
    if tree::items(object, &["spec", "policyTypes"]).is_empty() {
        tree::put(object, &["spec", "policyTypes"], types);
    }
    for direction in ["ingress", "egress"] {
        for rule in entries(object, &["spec", direction]) {
            for port in entries(rule, &["ports"]) {
                put_default(port, &["protocol"], "TCP");
            }
        }
    }
}

fn claim(object: &mut Value) {
    put_default(object, &["spec", "volumeMode"], "Filesystem");
    put_default(object, &["status", "phase"], "Pending");
}

fn volume(object: &mut Value) {
    put_default(object, &["spec", "volumeMode"], "Filesystem");
    put_default(object, &["spec", "persistentVolumeReclaimPolicy"], "Retain");
    put_default(object, &["status", "phase"], "Available");
}

/// Container limits that are left out follow from those that are given.
fn limit_range(object: &mut Value) {
    for item in entries(object, &["spec", "limits"]) {
        if tree::text(item, &["type"]) != "Container" {
            continue;
        }
        for (missing, given) in [
            ("default", "max"),
            ("defaultRequest", "default"),
            ("defaultRequest", "min"),
        ] {
            let source = item
                .get(given)
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default();
            for (name, amount) in source {
                put_default(item, &[missing, &name], amount);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::RESOURCES;

    #[test]
    fn filling_in_twice_changes_nothing() {
        for resource in RESOURCES.iter().filter(|one| one.is_stored()) {
            let mut once = json!({"metadata": {"name": "a"}, "spec": {
                "template": {"spec": {"containers": [{"name": "c", "image": "i"}]}},
                "ports": [{"port": 80}], "egress": [{"ports": [{}]}], "limits": [
                    {"type": "Container", "max": {"cpu": "1"}}]}});
            fill(resource, &mut once);
            let mut twice = once.clone();
            fill(resource, &mut twice);
            assert_eq!(once, twice, "{resource:?}");
        }
    }

    #[test]
    fn a_given_limit_is_also_the_request() {
        let mut object = json!({"spec": {"containers": [{"resources": {"limits": {"cpu": "2"}}}]}});
        pod(&mut object);
        let resources = object.pointer("/spec/containers/0/resources");
        let both = json!({"limits": {"cpu": "2"}, "requests": {"cpu": "2"}});
        assert_eq!(resources, Some(&both));
    }

    #[test]
    fn plain_secret_texts_become_data() {
        let mut object = json!({"stringData": {"key": "value"}});
        secret(&mut object);
        assert_eq!(
            object,
            json!({"type": "Opaque", "data": {"key": "dmFsdWU="}})
        );
    }
}
