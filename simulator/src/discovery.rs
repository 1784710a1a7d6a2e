//! What the server tells about itself: version, groups, resources.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::request::Request;
use crate::resources::{self, RESOURCES, Resource, Verbs, group_version};

/// The Kubernetes version whose behaviour is simulated.
const MINOR: &str = "33";
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const STORED_VERBS: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

/// `/version`.
pub fn version() -> Value {
    let version = format!("v1.{MINOR}.0");
    json!({
        "major": "1", "minor": MINOR, "gitVersion": version, "gitCommit": "",
        "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "",
        "compiler": "", "platform": "simulated",
    })
}

/// `/`.
pub fn root() -> Value {
    let mut paths = vec!["/api".to_owned(), "/api/v1".to_owned(), "/apis".to_owned()];
    for (group, version) in resources::group_versions()
        .into_iter()
        .filter(|one| !one.0.is_empty())
    {
        paths.push(format!("/apis/{group}"));
        paths.push(format!("/apis/{group}/{version}"));
    }
    paths.extend(
        [
            "/healthz",
            "/livez",
            "/openapi/v2",
            "/openapi/v3",
            "/readyz",
            "/version",
        ]
        .map(str::to_owned),
    );
    json!({"paths": paths})
}

fn wants_aggregated(request: &Request) -> bool {
    request.header("accept").split(',').any(|range| {
        let range: Vec<&str> = range.split(';').map(str::trim).collect();
        [
            "application/json",
            "as=APIGroupDiscoveryList",
            "v=v2",
            "g=apidiscovery.k8s.io",
        ]
        .iter()
        .all(|part| range.contains(part))
    })
}

/// `/api`.
pub fn core_versions(request: &Request) -> Answer {
    if wants_aggregated(request) {
        return aggregated(&[("", "v1")]);
    }
    Answer::document(json!({"kind": "APIVersions", "versions": ["v1"],
        "serverAddressByClientCIDRs": []}))
}

/// `/apis`.
pub fn groups(request: &Request) -> Answer {
    let named: Vec<_> = resources::group_versions()
        .into_iter()
        .filter(|(group, _)| !group.is_empty())
        .collect();
    if wants_aggregated(request) {
        return aggregated(&named);
    }
    let groups: Vec<Value> = named
        .iter()
        .map(|(name, _)| name)
        .fold(Vec::new(), |mut names: Vec<&str>, name| {
            if !names.contains(name) {
                names.push(name);
            }
            names
        })
        .into_iter()
        .map(group_entry)
        .collect();
    Answer::document(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
}

fn group_entry(name: &str) -> Value {
    let versions: Vec<Value> = resources::group_versions()
        .into_iter()
        .filter(|(group, _)| *group == name)
        .map(|(group, version)| {
            json!({"groupVersion": group_version(group, version), "version": version})
        })
        .collect();
    json!({"name": name, "preferredVersion": versions.first(), "versions": versions})
}

/// `/apis/{group}`.
pub fn group(name: &str) -> Value {
    let mut entry = group_entry(name);
    crate::tree::put(&mut entry, &["kind"], "APIGroup");
    crate::tree::put(&mut entry, &["apiVersion"], "v1");
    entry
}

/// `/api/v1` or `/apis/{group}/{version}`.
pub fn resource_list(group: &str, version: &str) -> Value {
    let mut list = Vec::new();
    for resource in resources::of(group, version) {
        let mut entry = json!({
            "name": resource.plural, "singularName": resource.singular(),
            "namespaced": resource.namespaced, "kind": resource.kind, "verbs": verbs(resource),
        });
        if !resource.short_names.is_empty() {
            crate::tree::put(&mut entry, &["shortNames"], resource.short_names.to_vec());
        }
        if resource.in_all {
            crate::tree::put(&mut entry, &["categories"], vec!["all"]);
        }
        list.push(entry);
        for name in resource.subresources {
            let (kind, verbs) = subresource(resource, name);
            let mut entry = json!({
                "name": format!("{}/{name}", resource.plural), "singularName": "",
                "namespaced": resource.namespaced, "kind": kind.2, "verbs": verbs,
            });
            if !kind.1.is_empty() {
                crate::tree::put(&mut entry, &["group"], kind.0);
                crate::tree::put(&mut entry, &["version"], kind.1);
            }
            list.push(entry);
        }
    }
    json!({"kind": "APIResourceList", "apiVersion": "v1",
           "groupVersion": group_version(group, version), "resources": list})
}

fn verbs(resource: &Resource) -> &'static [&'static str] {
    match resource.verbs {
        Verbs::Stored => STORED_VERBS,
        Verbs::CreateOnly => &["create"],
    }
}

/// Group, version and kind of a subresource (empty: those of the resource), and its verbs.
fn subresource(
    resource: &Resource,
    name: &str,
) -> (
    (&'static str, &'static str, &'static str),
    &'static [&'static str],
) {
    match name {
        "scale" => (("autoscaling", "v1", "Scale"), &["get", "patch", "update"]),
        "token" => (("authentication.k8s.io", "v1", "TokenRequest"), &["create"]),
        "eviction" => (("policy", "v1", "Eviction"), &["create"]),
        "binding" => (("", "", "Binding"), &["create"]),
        "log" => (("", "", "Pod"), &["get"]),
        "exec" => (("", "", "PodExecOptions"), &["create", "get"]),
        "attach" => (("", "", "PodAttachOptions"), &["create", "get"]),
        "portforward" => (("", "", "PodPortForwardOptions"), &["create", "get"]),
        "finalize" => (("", "", resource.kind), &["update"]),
        _ => (("", "", resource.kind), &["get", "patch", "update"]),
    }
}

fn aggregated(group_versions: &[(&'static str, &'static str)]) -> Answer {
    let items: Vec<Value> = group_versions
        .iter()
        .map(|(group, version)| {
            let resources: Vec<Value> = resources::of(group, version)
                .map(aggregated_resource)
                .collect();
            let metadata = if group.is_empty() {
                json!({})
            } else {
                json!({"name": group})
            };
            json!({"metadata": metadata, "versions": [
                {"version": version, "resources": resources, "freshness": "Current"}]})
        })
        .collect();
    Answer::Document {
        content_type: AGGREGATED,
        body: json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2",
                     "metadata": {}, "items": items}),
    }
}

fn aggregated_resource(resource: &'static Resource) -> Value {
    let kind = |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let subresources: Vec<Value> = resource
        .subresources
        .iter()
        .map(|name| {
            let ((group, version, title), verbs) = subresource(resource, name);
            let (group, version) = if version.is_empty() {
                (resource.group, resource.version)
            } else {
                (group, version)
            };
            json!({"subresource": name, "responseKind": kind(group, version, title),
                   "verbs": verbs})
        })
        .collect();
    let mut entry = json!({
        "resource": resource.plural,
        "responseKind": kind(resource.group, resource.version, resource.kind),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular(), "verbs": verbs(resource),
    });
    if !resource.short_names.is_empty() {
        crate::tree::put(&mut entry, &["shortNames"], resource.short_names.to_vec());
    }
    if resource.in_all {
        crate::tree::put(&mut entry, &["categories"], vec!["all"]);
    }
    if !subresources.is_empty() {
        crate::tree::put(&mut entry, &["subresources"], subresources);
    }
    entry
}

/// How many resources are served, for the log line at start.
pub fn count() -> usize {
    RESOURCES.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_discovery_name_the_same_resources() {
        for (group, version) in resources::group_versions() {
            let list = resource_list(group, version);
            let names: Vec<&str> = crate::tree::items(&list, &["resources"])
                .iter()
                .map(|one| crate::tree::text(one, &["name"]))
                .filter(|name| !name.contains('/'))
                .collect();
            let table: Vec<&str> = resources::of(group, version)
                .map(|one| one.plural)
                .collect();
            assert_eq!(names, table);
        }
    }
}
