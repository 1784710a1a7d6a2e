//! What an object of its kind must satisfy beyond having the right fields.

use serde_json::{Value, json};

use crate::quantity::Quantity;
use crate::resources::Resource;
use crate::selector::Selector;
use crate::status::Cause;
use crate::tree;

/// Keys and values of one `ConfigMap` or Secret together.
const DATA_LIMIT_BYTES: usize = 1024 * 1024;
const KEY_RULE: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or \
    '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is \
    '[-._a-zA-Z0-9]+')";

/// What is wrong with the object.
pub fn check(resource: &Resource, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    match resource.kind {
        "ConfigMap" => data(object, &["data", "binaryData"], &mut causes),
        "Secret" => data(object, &["data"], &mut causes),
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" => workload(object, &mut causes),
        "Pod" => containers(object, &["spec"], &mut causes),
        "Job" => job(object, &["spec", "template", "spec"], &mut causes),
        "CronJob" => {
            job(
                object,
                &["spec", "jobTemplate", "spec", "template", "spec"],
                &mut causes,
            );
        }
        "Service" => service(object, &mut causes),
        "Role" => role(object, false, &mut causes),
        "ClusterRole" => role(object, true, &mut causes),
        "RoleBinding" => binding(object, &["ClusterRole", "Role"], &mut causes),
        "ClusterRoleBinding" => binding(object, &["ClusterRole"], &mut causes),
        "ResourceQuota" => quota(object, &mut causes),
        "NetworkPolicy" => network_policy(object, &mut causes),
        _ => {}
    }
    causes
}

fn data(object: &Value, lists: &[&str], causes: &mut Vec<Cause>) {
    let mut size = 0;
    for list in lists {
        for (key, value) in tree::at(object, &[list])
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let is_key = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
            if key.is_empty() || key.len() > 253 || !key.chars().all(is_key) {
                causes.push(Cause::invalid(
                    format!("{list}[{key}]"),
                    &json!(key),
                    KEY_RULE,
                ));
            }
            size += value.as_str().map_or(0, str::len);
        }
    }
    if size > DATA_LIMIT_BYTES {
        causes.push(Cause {
            reason: "FieldValueTooLong",
            message: format!("Too long: may not be more than {DATA_LIMIT_BYTES} bytes"),
            field: String::new(),
        });
    }
}

fn workload(object: &Value, causes: &mut Vec<Cause>) {
    if tree::number(object, &["spec", "replicas"]).is_some_and(|count| count < 0) {
        let value = tree::at(object, &["spec", "replicas"]).unwrap_or(&Value::Null);
        let why = "must be greater than or equal to 0";
        causes.push(Cause::invalid("spec.replicas", value, why));
    }
    let template = tree::at(object, &["spec", "template"]).unwrap_or(&Value::Null);
    let Some(selector) = tree::at(object, &["spec", "selector"]) else {
        return;
    };
    let found = Selector::from_object(selector);
    if found.is_everything() {
        let kind = tree::text(object, &["kind"]).to_lowercase();
        let why = format!("empty selector is invalid for {kind}");
        causes.push(Cause::invalid("spec.selector", selector, &why));
    } else if !found.matches(template) {
        let labels = tree::at(template, &["metadata", "labels"]).unwrap_or(&Value::Null);
        let why = "`selector` does not match template `labels`";
        causes.push(Cause::invalid("spec.template.metadata.labels", labels, why));
    }
    containers(object, &["spec", "template", "spec"], causes);
    let policy = tree::at(template, &["spec", "restartPolicy"]).unwrap_or(&Value::Null);
    if policy != "Always" && !policy.is_null() {
        let field = "spec.template.spec.restartPolicy";
        causes.push(Cause::not_supported(field, policy, &["Always"]));
    }
}

fn containers(object: &Value, path: &[&str], causes: &mut Vec<Cause>) {
    let spec = tree::at(object, path).unwrap_or(&Value::Null);
    for list in ["initContainers", "containers"] {
        for (index, container) in tree::items(spec, &[list]).iter().enumerate() {
            let here = format!("{}.{list}[{index}]", path.join("."));
            let name = tree::text(container, &["name"]);
            if !name.is_empty() && !crate::validate::is_dns_label(name) {
                let why = "a lowercase RFC 1123 label must consist of lower case alphanumeric \
                    characters or '-', and must start and end with an alphanumeric character";
                causes.push(Cause::invalid(format!("{here}.name"), &json!(name), why));
            }
            if tree::text(container, &["image"]).is_empty() {
                causes.push(Cause::required(format!("{here}.image"), ""));
            }
            for (number, port) in tree::items(container, &["ports"]).iter().enumerate() {
                port_number(
                    port,
                    "containerPort",
                    &format!("{here}.ports[{number}]"),
                    causes,
                );
            }
        }
    }
}

fn port_number(port: &Value, name: &str, path: &str, causes: &mut Vec<Cause>) {
    if let Some(value) = port.get(name)
        && !value
            .as_i64()
            .is_some_and(|number| (1..=65535).contains(&number))
    {
        let why = "must be between 1 and 65535, inclusive";
        causes.push(Cause::invalid(format!("{path}.{name}"), value, why));
    }
}

fn job(object: &Value, path: &[&str], causes: &mut Vec<Cause>) {
    containers(object, path, causes);
    let spec = tree::at(object, path).unwrap_or(&Value::Null);
    let policy = tree::text(spec, &["restartPolicy"]);
    if !["OnFailure", "Never"].contains(&policy) {
        let field = format!("{}.restartPolicy", path.join("."));
        let (value, allowed) = (json!(policy), ["OnFailure", "Never"]);
        causes.push(if policy.is_empty() {
            Cause::required(field, "valid values: \"OnFailure\", \"Never\"")
        } else {
            Cause::not_supported(field, &value, &allowed)
        });
    }
}

fn service(object: &Value, causes: &mut Vec<Cause>) {
    let kind = tree::text(object, &["spec", "type"]);
    let kinds = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    if !kinds.contains(&kind) {
        causes.push(Cause::not_supported("spec.type", &json!(kind), &kinds));
    }
    let ports = tree::items(object, &["spec", "ports"]);
    let is_headless = tree::text(object, &["spec", "clusterIP"]) == "None";
    if ports.is_empty() && kind != "ExternalName" && !is_headless {
        causes.push(Cause::required("spec.ports", ""));
    }
    for (index, port) in ports.iter().enumerate() {
        let here = format!("spec.ports[{index}]");
        port_number(port, "port", &here, causes);
        if ports.len() > 1 && tree::text(port, &["name"]).is_empty() {
            causes.push(Cause::required(format!("{here}.name"), ""));
        }
    }
}

fn role(object: &Value, has_paths: bool, causes: &mut Vec<Cause>) {
    for (index, rule) in tree::items(object, &["rules"]).iter().enumerate() {
        let here = format!("rules[{index}]");
        let paths = tree::items(rule, &["nonResourceURLs"]);
        if !paths.is_empty() {
            if !has_paths {
                let why = "namespaced rules cannot apply to non-resource URLs";
                let field = format!("{here}.nonResourceURLs");
                causes.push(Cause::invalid(field, &json!(paths), why));
            }
            continue;
        }
        for (list, why) in [
            (
                "apiGroups",
                "resource rules must supply at least one api group",
            ),
            (
                "resources",
                "resource rules must supply at least one resource",
            ),
        ] {
            if tree::items(rule, &[list]).is_empty() {
                causes.push(Cause::required(format!("{here}.{list}"), why));
            }
        }
    }
}

fn binding(object: &Value, roles: &[&str], causes: &mut Vec<Cause>) {
    let kind = tree::text(object, &["roleRef", "kind"]);
    if !kind.is_empty() && !roles.contains(&kind) {
        causes.push(Cause::not_supported("roleRef.kind", &json!(kind), roles));
    }
    for (index, subject) in tree::items(object, &["subjects"]).iter().enumerate() {
        let here = format!("subjects[{index}]");
        match tree::text(subject, &["kind"]) {
            "ServiceAccount" if tree::text(subject, &["namespace"]).is_empty() => {
                causes.push(Cause::required(format!("{here}.namespace"), ""));
            }
            "ServiceAccount" | "User" | "Group" | "" => {}
            other => {
                let known = ["Group", "ServiceAccount", "User"];
                let field = format!("{here}.kind");
                causes.push(Cause::not_supported(field, &json!(other), &known));
            }
        }
    }
}

fn quota(object: &Value, causes: &mut Vec<Cause>) {
    let hard = tree::at(object, &["spec", "hard"]).and_then(Value::as_object);
    for (name, amount) in hard.into_iter().flatten() {
        let field = format!("spec.hard[{name}]");
        if !crate::validate::is_qualified_name(name) {
            let why = "must be a standard resource type or fully qualified";
            causes.push(Cause::invalid(field.clone(), &json!(name), why));
        }
        if amount
            .as_str()
            .and_then(Quantity::parse)
            .is_some_and(Quantity::is_negative)
        {
            let why = "must be greater than or equal to 0";
            causes.push(Cause::invalid(field, amount, why));
        }
    }
}

fn network_policy(object: &Value, causes: &mut Vec<Cause>) {
    for (index, kind) in tree::items(object, &["spec", "policyTypes"])
        .iter()
        .enumerate()
    {
        if kind != "Ingress" && kind != "Egress" {
            let field = format!("spec.policyTypes[{index}]");
            causes.push(Cause::not_supported(field, kind, &["Egress", "Ingress"]));
        }
    }
    for (direction, list) in [("ingress", "from"), ("egress", "to")] {
        for (index, rule) in tree::items(object, &["spec", direction]).iter().enumerate() {
            for (number, peer) in tree::items(rule, &[list]).iter().enumerate() {
                let is_mixed = peer.get("ipBlock").is_some()
                    && (peer.get("podSelector").is_some()
                        || peer.get("namespaceSelector").is_some());
                let field = format!("spec.{direction}[{index}].{list}[{number}]");
                if is_mixed {
                    let why = "may not specify both ipBlock and another peer";
                    causes.push(Cause::forbidden(field, why));
                } else if peer.as_object().is_none_or(serde_json::Map::is_empty) {
                    causes.push(Cause::required(field, "must specify a peer"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources;

    fn fields(group: &str, plural: &str, object: &Value) -> Vec<String> {
        let resource = resources::find(group, "v1", plural).expect("served");
        check(resource, object)
            .into_iter()
            .map(|cause| cause.field)
            .collect()
    }

    #[test]
    fn a_selector_must_match_the_template() {
        let object = json!({"kind": "Deployment", "spec": {"selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "c"}}, "spec": {"containers": [
                {"name": "x", "image": "y"}]}}}});
        assert_eq!(
            fields("apps", "deployments", &object),
            ["spec.template.metadata.labels"]
        );
    }

    #[test]
    fn a_service_account_subject_needs_its_namespace() {
        let object = json!({"roleRef": {"kind": "Role"}, "subjects": [{"kind": "ServiceAccount"}]});
        let group = "rbac.authorization.k8s.io";
        assert_eq!(
            fields(group, "rolebindings", &object),
            ["subjects[0].namespace"]
        );
        let object = json!({"roleRef": {"kind": "Role"}});
        assert_eq!(
            fields(group, "clusterrolebindings", &object),
            ["roleRef.kind"]
        );
    }

    #[test]
    fn config_keys_are_file_names() {
        assert_eq!(
            fields("", "configmaps", &json!({"data": {"a/b": "c"}})),
            ["data[a/b]"]
        );
    }
}
