//! The columns of each kind. A pure table: one line per column.

use serde_json::{Value, json};

use super::Column;
use super::cells::{
    age, count, hosts, involved, job_status, joined, node_roles, node_status, of_containers,
    or_none, or_unset, pairs, ports, quota, selector, since, size,
};
use crate::tree::{at, items, number, text, texts};

const TEMPLATE: &[&str] = &["spec", "template", "spec", "containers"];

macro_rules! column {
    ($name:literal, $kind:literal, $priority:literal, $cell:expr) => {
        Column {
            name: $name,
            kind: $kind,
            priority: $priority,
            cell: $cell,
        }
    };
    ($name:literal, $cell:expr) => {
        column!($name, "string", 0, $cell)
    };
}

const NAME: Column = column!("Name", |o, _| json!(text(o, &["metadata", "name"])));
const AGE: Column = column!("Age", |o, now| age(o, now));
const CREATED: Column = column!("Created At", |o, _| json!(text(
    o,
    &["metadata", "creationTimestamp"]
)));
const ROLE: Column = column!("Role", |o, _| json!(format!(
    "{}/{}",
    text(o, &["roleRef", "kind"]),
    text(o, &["roleRef", "name"])
)));
const CONTAINERS: Column = column!("Containers", "string", 1, |o, _| of_containers(
    o, TEMPLATE, "name"
));
const IMAGES: Column = column!("Images", "string", 1, |o, _| of_containers(
    o, TEMPLATE, "image"
));
const SELECTOR: Column = column!("Selector", "string", 1, |o, _| selector(
    o,
    &["spec", "selector"]
));
const DESIRED: Column = column!("Desired", "integer", 0, |o, _| count(
    o,
    &["spec", "replicas"]
));
const CURRENT: Column = column!("Current", "integer", 0, |o, _| count(
    o,
    &["status", "replicas"]
));
const READY_COUNT: Column = column!("Ready", "integer", 0, |o, _| count(
    o,
    &["status", "readyReplicas"]
));
const READY_OF: Column = column!("Ready", |o, _| json!(format!(
    "{}/{}",
    number(o, &["status", "readyReplicas"]).unwrap_or(0),
    number(o, &["spec", "replicas"]).unwrap_or(0)
)));

fn flag(object: &Value, path: &[&str]) -> Value {
    json!(
        at(object, path)
            .and_then(Value::as_bool)
            .unwrap_or(false)
            .to_string()
    )
}

fn subjects(object: &Value, kind: &str) -> Value {
    let names: Vec<String> = items(object, &["subjects"])
        .iter()
        .filter(|one| text(one, &["kind"]) == kind)
        .map(|one| match text(one, &["namespace"]) {
            "" => text(one, &["name"]).to_owned(),
            namespace => format!("{namespace}/{}", text(one, &["name"])),
        })
        .collect();
    json!(names.join(", "))
}

fn amount(object: &Value, path: &[&str]) -> Value {
    match at(object, path) {
        Some(Value::String(text)) => json!(text),
        Some(Value::Number(number)) => json!(number.to_string()),
        _ => json!("N/A"),
    }
}

fn restarts(object: &Value) -> Value {
    let statuses = items(object, &["status", "containerStatuses"]).iter();
    json!(
        statuses
            .filter_map(|one| number(one, &["restartCount"]))
            .sum::<i64>()
    )
}

fn ready_containers(object: &Value) -> Value {
    let statuses = items(object, &["status", "containerStatuses"]).iter();
    let ready = statuses
        .filter(|one| at(one, &["ready"]) == Some(&json!(true)))
        .count();
    json!(format!(
        "{ready}/{}",
        items(object, &["spec", "containers"]).len()
    ))
}

fn pod_status(object: &Value) -> Value {
    if at(object, &["metadata", "deletionTimestamp"]).is_some() {
        return json!("Terminating");
    }
    json!(text(object, &["status", "phase"]))
}

fn address(object: &Value, kind: &str) -> Value {
    let all = items(object, &["status", "addresses"]);
    or_none(
        all.iter()
            .find(|one| text(one, &["type"]) == kind)
            .map_or("", |one| text(one, &["address"])),
    )
}

fn external_address(object: &Value) -> Value {
    let ingress = items(object, &["status", "loadBalancer", "ingress"]);
    let all: Vec<&str> = ingress.iter().map(|one| text(one, &["ip"])).collect();
    match text(object, &["spec", "type"]) {
        "ExternalName" => json!(text(object, &["spec", "externalName"])),
        "LoadBalancer" if all.is_empty() => json!("<pending>"),
        _ => joined(&all),
    }
}

fn endpoint_addresses(object: &Value) -> Value {
    let subsets = items(object, &["subsets"]).iter();
    let all: Vec<&str> = subsets
        .flat_map(|one| items(one, &["addresses"]))
        .map(|one| text(one, &["ip"]))
        .collect();
    joined(&all)
}

fn phase(object: &Value) -> Value {
    json!(text(object, &["status", "phase"]))
}

/// The columns of a kind; name and age for a kind without its own.
#[rustfmt::skip]
pub fn of(kind: &str) -> &'static [Column] {
    match kind {
        "Namespace" => const { &[NAME, column!("Status", |o, _| phase(o)), AGE] },
        "Node" => const { &[NAME, column!("Status", |o, _| node_status(o)), column!("Roles", |o, _| node_roles(o)), AGE,
            column!("Version", |o, _| json!(text(o, &["status", "nodeInfo", "kubeletVersion"]))),
            column!("Internal-IP", "string", 1, |o, _| address(o, "InternalIP")), column!("External-IP", "string", 1, |o, _| address(o, "ExternalIP")),
            column!("OS-Image", "string", 1, |o, _| json!(text(o, &["status", "nodeInfo", "osImage"]))),
            column!("Kernel-Version", "string", 1, |o, _| json!(text(o, &["status", "nodeInfo", "kernelVersion"]))),
            column!("Container-Runtime", "string", 1, |o, _| json!(text(o, &["status", "nodeInfo", "containerRuntimeVersion"])))] },
        "Pod" => const { &[NAME, column!("Ready", |o, _| ready_containers(o)), column!("Status", |o, _| pod_status(o)),
            column!("Restarts", |o, _| restarts(o)), AGE, column!("IP", "string", 1, |o, _| or_none(text(o, &["status", "podIP"]))),
            column!("Node", "string", 1, |o, _| or_none(text(o, &["spec", "nodeName"])))] },
        "Service" => const { &[NAME, column!("Type", |o, _| json!(text(o, &["spec", "type"]))),
            column!("Cluster-IP", |o, _| or_none(text(o, &["spec", "clusterIP"]))), column!("External-IP", |o, _| external_address(o)),
            column!("Port(s)", |o, _| ports(o)), AGE, column!("Selector", "string", 1, |o, _| pairs(at(o, &["spec", "selector"])))] },
        "Endpoints" => const { &[NAME, column!("Endpoints", |o, _| endpoint_addresses(o)), AGE] },
        "ConfigMap" => const { &[NAME, column!("Data", |o, _| json!(size(o, &["data"]) + size(o, &["binaryData"]))), AGE] },
        "Secret" => const { &[NAME, column!("Type", |o, _| json!(text(o, &["type"]))), column!("Data", |o, _| json!(size(o, &["data"]))), AGE] },
        "ServiceAccount" => const { &[NAME, column!("Secrets", "integer", 0, |o, _| json!(items(o, &["secrets"]).len())), AGE] },
        "ResourceQuota" => const { &[NAME, column!("Request", |o, _| quota(o, false)), column!("Limit", |o, _| quota(o, true)), AGE] },
        "PersistentVolumeClaim" => const { &[NAME, column!("Status", |o, _| phase(o)), column!("Volume", |o, _| json!(text(o, &["spec", "volumeName"]))),
            column!("Capacity", |o, _| json!(text(o, &["status", "capacity", "storage"]))), column!("Access Modes", |o, _| json!(texts(o, &["status", "accessModes"]).join(","))),
            column!("StorageClass", |o, _| json!(text(o, &["spec", "storageClassName"]))), AGE] },
        "PersistentVolume" => const { &[NAME, column!("Capacity", |o, _| json!(text(o, &["spec", "capacity", "storage"]))),
            column!("Access Modes", |o, _| json!(texts(o, &["spec", "accessModes"]).join(","))),
            column!("Reclaim Policy", |o, _| json!(text(o, &["spec", "persistentVolumeReclaimPolicy"]))), column!("Status", |o, _| phase(o)),
            column!("Claim", |o, _| json!(text(o, &["spec", "claimRef", "name"]))), column!("StorageClass", |o, _| json!(text(o, &["spec", "storageClassName"]))), AGE] },
        "Event" => const { &[column!("Last Seen", |o, now| since(text(o, &["lastTimestamp"]), now)), column!("Type", |o, _| json!(text(o, &["type"]))),
            column!("Reason", |o, _| json!(text(o, &["reason"]))), column!("Object", |o, _| involved(o)), column!("Message", |o, _| json!(text(o, &["message"]))),
            column!("Name", "string", 1, |o, _| json!(text(o, &["metadata", "name"])))] },
        "LimitRange" | "Role" | "ClusterRole" => const { &[NAME, CREATED] },
        "RoleBinding" | "ClusterRoleBinding" => const { &[NAME, ROLE, AGE, column!("Users", "string", 1, |o, _| subjects(o, "User")),
            column!("Groups", "string", 1, |o, _| subjects(o, "Group")), column!("ServiceAccounts", "string", 1, |o, _| subjects(o, "ServiceAccount"))] },
        "Deployment" => const { &[NAME, READY_OF, column!("Up-to-date", "integer", 0, |o, _| count(o, &["status", "updatedReplicas"])),
            column!("Available", "integer", 0, |o, _| count(o, &["status", "availableReplicas"])), AGE, CONTAINERS, IMAGES, SELECTOR] },
        "StatefulSet" => const { &[NAME, READY_OF, AGE, CONTAINERS, IMAGES] },
        "ReplicaSet" => const { &[NAME, DESIRED, CURRENT, READY_COUNT, AGE, CONTAINERS, IMAGES, SELECTOR] },
        "ReplicationController" => const { &[NAME, DESIRED, CURRENT, READY_COUNT, AGE, CONTAINERS, IMAGES,
            column!("Selector", "string", 1, |o, _| pairs(at(o, &["spec", "selector"])))] },
        "DaemonSet" => const { &[NAME, column!("Desired", "integer", 0, |o, _| count(o, &["status", "desiredNumberScheduled"])),
            column!("Current", "integer", 0, |o, _| count(o, &["status", "currentNumberScheduled"])), column!("Ready", "integer", 0, |o, _| count(o, &["status", "numberReady"])),
            column!("Up-to-date", "integer", 0, |o, _| count(o, &["status", "updatedNumberScheduled"])), column!("Available", "integer", 0, |o, _| count(o, &["status", "numberAvailable"])),
            column!("Node Selector", |o, _| pairs(at(o, &["spec", "template", "spec", "nodeSelector"]))), AGE, CONTAINERS, IMAGES, SELECTOR] },
        "Job" => const { &[NAME, column!("Status", |o, _| job_status(o)),
            column!("Completions", |o, _| json!(format!("{}/{}", number(o, &["status", "succeeded"]).unwrap_or(0), number(o, &["spec", "completions"]).unwrap_or(1)))),
            column!("Duration", |o, now| match text(o, &["status", "startTime"]) { "" => json!(""), start => since(start, now) }), AGE, CONTAINERS, IMAGES, SELECTOR] },
        "CronJob" => const { &[NAME, column!("Schedule", |o, _| json!(text(o, &["spec", "schedule"]))), column!("Timezone", |o, _| or_none(text(o, &["spec", "timeZone"]))),
            column!("Suspend", |o, _| json!(if at(o, &["spec", "suspend"]) == Some(&json!(true)) { "True" } else { "False" })),
            column!("Active", "integer", 0, |o, _| json!(items(o, &["status", "active"]).len())),
            column!("Last Schedule", |o, now| match text(o, &["status", "lastScheduleTime"]) { "" => json!("<none>"), then => since(then, now) }), AGE] },
        "NetworkPolicy" => const { &[NAME, column!("Pod-Selector", |o, _| selector(o, &["spec", "podSelector"])), AGE] },
        "Ingress" => const { &[NAME, column!("Class", |o, _| or_none(text(o, &["spec", "ingressClassName"]))), column!("Hosts", |o, _| hosts(o)),
            column!("Address", |o, _| json!(items(o, &["status", "loadBalancer", "ingress"]).iter().map(|one| text(one, &["ip"])).collect::<Vec<_>>().join(","))),
            column!("Ports", |o, _| json!(if items(o, &["spec", "tls"]).is_empty() { "80" } else { "80, 443" })), AGE] },
        "IngressClass" => const { &[NAME, column!("Controller", |o, _| json!(text(o, &["spec", "controller"]))),
            column!("Parameters", |o, _| or_none(text(o, &["spec", "parameters", "name"]))), AGE] },
        "HorizontalPodAutoscaler" => const { &[NAME,
            column!("Reference", |o, _| json!(format!("{}/{}", text(o, &["spec", "scaleTargetRef", "kind"]), text(o, &["spec", "scaleTargetRef", "name"])))),
            column!("Targets", |o, _| json!(format!("{} metrics", items(o, &["spec", "metrics"]).len()))),
            column!("MinPods", |o, _| or_unset(&number(o, &["spec", "minReplicas"]).map(|n| n.to_string()).unwrap_or_default())),
            column!("MaxPods", "integer", 0, |o, _| count(o, &["spec", "maxReplicas"])), column!("Replicas", "integer", 0, |o, _| count(o, &["status", "currentReplicas"])), AGE] },
        "PodDisruptionBudget" => const { &[NAME, column!("Min Available", |o, _| amount(o, &["spec", "minAvailable"])),
            column!("Max Unavailable", |o, _| amount(o, &["spec", "maxUnavailable"])),
            column!("Allowed Disruptions", "integer", 0, |o, _| count(o, &["status", "disruptionsAllowed"])), AGE] },
        "Lease" => const { &[NAME, column!("Holder", |o, _| json!(text(o, &["spec", "holderIdentity"]))), AGE] },
        "StorageClass" => const { &[NAME, column!("Provisioner", |o, _| json!(text(o, &["provisioner"]))), column!("ReclaimPolicy", |o, _| json!(text(o, &["reclaimPolicy"]))),
            column!("VolumeBindingMode", |o, _| json!(text(o, &["volumeBindingMode"]))), column!("AllowVolumeExpansion", |o, _| flag(o, &["allowVolumeExpansion"])), AGE] },
        "PriorityClass" => const { &[NAME, column!("Value", "integer", 0, |o, _| count(o, &["value"])), column!("Global-Default", |o, _| flag(o, &["globalDefault"])), AGE,
            column!("PreemptionPolicy", |o, _| json!(text(o, &["preemptionPolicy"])))] },
        "ValidatingAdmissionPolicy" => const { &[NAME, column!("Validations", "integer", 0, |o, _| json!(items(o, &["spec", "validations"]).len())),
            column!("ParamKind", |o, _| or_unset(text(o, &["spec", "paramKind", "kind"]))), AGE] },
        "ValidatingAdmissionPolicyBinding" => const { &[NAME, column!("PolicyName", |o, _| json!(text(o, &["spec", "policyName"]))),
            column!("ParamRef", |o, _| or_unset(text(o, &["spec", "paramRef", "name"]))), AGE] },
        "EndpointSlice" => const { &[NAME, column!("AddressType", |o, _| json!(text(o, &["addressType"]))),
            column!("Ports", |o, _| joined(&items(o, &["ports"]).iter().map(|one| number(one, &["port"]).unwrap_or(0).to_string()).collect::<Vec<_>>())),
            column!("Endpoints", |o, _| joined(&items(o, &["endpoints"]).iter().flat_map(|one| texts(one, &["addresses"])).collect::<Vec<_>>())), AGE] },
        _ => const { &[NAME, AGE] },
    }
}
