//! `OpenAPI` documents made from the schema: enough for `kubectl` to explain, to compute patches,
//! and to learn that the server validates fields itself.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::resources::{self, RESOURCES, Resource, group_version};
use crate::schema::{self, Field, ListOwnership, Scalar, Shape};
use crate::tree;

const PATCH_TYPES: &[&str] = &[
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];
/// Where a document keeps its definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    V2,
    V3,
}

impl Dialect {
    fn reference(self, name: &str) -> Value {
        let place = match self {
            Self::V2 => "#/definitions/",
            Self::V3 => "#/components/schemas/",
        };
        json!({"$ref": format!("{place}{}", public_name(name))})
    }
}

/// `/openapi/v3`.
pub fn index() -> Value {
    let mut paths = Map::new();
    for (group, version) in resources::group_versions() {
        let root = if group.is_empty() { "api" } else { "apis" };
        let path = format!("{root}/{}", group_version(group, version));
        let url = format!("/openapi/v3/{path}?hash={}", env!("CARGO_PKG_VERSION"));
        paths.insert(path, json!({"serverRelativeURL": url}));
    }
    json!({"paths": paths})
}

/// `/openapi/v3/...`: the document of a group and version.
pub fn document(group: &str, version: &str) -> Value {
    let served: Vec<&'static Resource> = resources::of(group, version).collect();
    let paths: Map<String, Value> = served
        .iter()
        .flat_map(|resource| paths(resource, Dialect::V3))
        .collect();
    let schemas = definitions(&served, Dialect::V3);
    json!({"openapi": "3.0.0", "info": info(), "paths": paths,
           "components": {"schemas": schemas}})
}

/// `/openapi/v2`: everything in one document.
pub fn v2() -> Value {
    let all: Vec<&'static Resource> = RESOURCES.iter().collect();
    let paths: Map<String, Value> = all
        .iter()
        .flat_map(|resource| paths(resource, Dialect::V2))
        .collect();
    json!({"swagger": "2.0", "info": info(), "paths": paths,
           "definitions": definitions(&all, Dialect::V2)})
}

fn info() -> Value {
    json!({"title": "Kubernetes (simulated)", "version": "v1.33.0"})
}

fn public_name(name: &str) -> String {
    if name.starts_with("meta.") {
        format!("io.k8s.apimachinery.pkg.apis.{name}")
    } else {
        format!("io.k8s.api.{name}")
    }
}

fn type_of(resource: &Resource) -> Value {
    json!({"group": resource.group, "version": resource.version, "kind": resource.kind})
}

fn definitions(served: &[&'static Resource], dialect: Dialect) -> Map<String, Value> {
    let mut names: BTreeSet<&'static str> = BTreeSet::new();
    for resource in served {
        reach(&schema::named(&resource.schema_name()), &mut names);
    }
    names
        .into_iter()
        .map(|name| {
            let mut definition = definition(name, dialect);
            if let Some(resource) = served.iter().find(|one| one.schema_name() == name) {
                let types = vec![type_of(resource)];
                tree::put(&mut definition, &["x-kubernetes-group-version-kind"], types);
            }
            (public_name(name), definition)
        })
        .collect()
}

fn reach(shape: &Shape, names: &mut BTreeSet<&'static str>) {
    match shape {
        Shape::Struct(name) => {
            if names.insert(name) {
                let fields = schema::find(name).map(|one| one.fields.values());
                fields
                    .into_iter()
                    .flatten()
                    .for_each(|field| reach(&field.shape, names));
            }
        }
        Shape::List { item, .. } => reach(item, names),
        Shape::Map { value, .. } => reach(value, names),
        Shape::Scalar(_) | Shape::Any => {}
    }
}

fn definition(name: &str, dialect: Dialect) -> Value {
    let Some(known) = schema::find(name) else {
        return json!({"type": "object"});
    };
    let properties: Map<String, Value> = known
        .fields
        .iter()
        .map(|(name, field)| ((*name).to_owned(), field_property(field, dialect)))
        .collect();
    let required: Vec<&&str> = known
        .fields
        .iter()
        .filter(|(_, field)| field.required)
        .map(|(name, _)| name)
        .collect();
    let mut definition = json!({"type": "object", "description": "", "properties": properties});
    if !required.is_empty() {
        tree::put(&mut definition, &["required"], json!(required));
    }
    if known.atomic {
        tree::put(&mut definition, &["x-kubernetes-map-type"], "atomic");
    }
    definition
}

fn field_property(field: &Field, dialect: Dialect) -> Value {
    let mut found = property(&field.shape, dialect);
    if let Some(key) = field.merge_key {
        let strategy = if field.retain_keys {
            "merge,retainKeys"
        } else {
            "merge"
        };
        tree::put(&mut found, &["x-kubernetes-patch-strategy"], strategy);
        if !key.is_empty() {
            tree::put(&mut found, &["x-kubernetes-patch-merge-key"], key);
        }
    } else if field.retain_keys {
        tree::put(&mut found, &["x-kubernetes-patch-strategy"], "retainKeys");
    }
    found
}

fn property(shape: &Shape, dialect: Dialect) -> Value {
    match shape {
        Shape::Any => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
        Shape::Scalar(scalar) => scalar_property(*scalar),
        Shape::Struct(target) => match dialect {
            Dialect::V2 => dialect.reference(target),
            // Beside a reference nothing else is read, so v3 documents wrap it.
            Dialect::V3 => json!({"allOf": [dialect.reference(target)], "default": {}}),
        },
        Shape::Map { value, atomic } => {
            let mut map =
                json!({"type": "object", "additionalProperties": property(value, dialect)});
            if *atomic {
                tree::put(&mut map, &["x-kubernetes-map-type"], "atomic");
            }
            map
        }
        Shape::List { item, ownership } => {
            let mut list = json!({"type": "array", "items": property(item, dialect)});
            describe_list(ownership, &mut list);
            list
        }
    }
}

fn describe_list(ownership: &ListOwnership, list: &mut Value) {
    let kind = match ownership {
        ListOwnership::Atomic => "atomic",
        ListOwnership::Set => "set",
        ListOwnership::Map(keys) => {
            let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
            tree::put(list, &["x-kubernetes-list-map-keys"], names);
            "map"
        }
    };
    tree::put(list, &["x-kubernetes-list-type"], kind);
}

fn scalar_property(scalar: Scalar) -> Value {
    match scalar {
        Scalar::Text | Scalar::Quantity => json!({"type": "string"}),
        Scalar::Bytes => json!({"type": "string", "format": "byte"}),
        Scalar::Time => json!({"type": "string", "format": "date-time"}),
        Scalar::Int32 => json!({"type": "integer", "format": "int32"}),
        Scalar::Int64 => json!({"type": "integer", "format": "int64"}),
        Scalar::Number => json!({"type": "number", "format": "double"}),
        Scalar::Bool => json!({"type": "boolean"}),
        Scalar::IntOrText => json!({"type": "string", "format": "int-or-string"}),
    }
}

fn parameters(names: &[&str], dialect: Dialect) -> Vec<Value> {
    names
        .iter()
        .map(|name| {
            let kind = if *name == "force" {
                "boolean"
            } else {
                "string"
            };
            match dialect {
                Dialect::V2 => json!({"name": name, "in": "query", "type": kind}),
                Dialect::V3 => json!({"name": name, "in": "query", "schema": {"type": kind}}),
            }
        })
        .collect()
}

fn operation(resource: &Resource, action: &str, options: &[&str], dialect: Dialect) -> Value {
    let name = resource.schema_name();
    let content = json!({"application/json": {"schema": dialect.reference(&name)}});
    let mut operation = json!({
        "operationId": format!("{action}{}{}", resource.group.replace('.', "_"), resource.kind),
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": type_of(resource),
        "parameters": parameters(options, dialect),
        "responses": {"200": {"description": "OK"}},
    });
    match dialect {
        Dialect::V2 => {
            let schema = dialect.reference(&name);
            tree::put(&mut operation, &["responses", "200", "schema"], schema);
        }
        Dialect::V3 => {
            tree::put(
                &mut operation,
                &["responses", "200", "content"],
                content.clone(),
            );
            if action == "patch" {
                let bodies: Map<String, Value> = PATCH_TYPES
                    .iter()
                    .map(|media| ((*media).to_owned(), json!({"schema": {"type": "object"}})))
                    .collect();
                tree::put(&mut operation, &["requestBody", "content"], bodies);
            } else if action == "post" || action == "put" {
                tree::put(&mut operation, &["requestBody", "content"], content);
            }
        }
    }
    operation
}

fn paths(resource: &'static Resource, dialect: Dialect) -> Vec<(String, Value)> {
    let root = if resource.group.is_empty() {
        "/api/"
    } else {
        "/apis/"
    };
    let place = if resource.namespaced {
        "/namespaces/{namespace}"
    } else {
        ""
    };
    let collection = format!(
        "{root}{}{place}/{}",
        resource.api_version(),
        resource.plural
    );
    let write = ["dryRun", "fieldManager", "fieldValidation"];
    let operation = |action, options: &[&str]| operation(resource, action, options, dialect);
    let create = operation("post", &write);
    if !resource.is_stored() {
        return vec![(collection, json!({"post": create}))];
    }
    let select = [
        "labelSelector",
        "fieldSelector",
        "limit",
        "continue",
        "watch",
    ];
    let one = json!({
        "get": operation("get", &[]),
        "put": operation("put", &write),
        "patch": operation("patch", &["dryRun", "fieldManager", "fieldValidation", "force"]),
        "delete": operation("delete", &["dryRun", "propagationPolicy"]),
    });
    let many = json!({"get": operation("list", &select), "post": create});
    let item = format!("{collection}/{{name}}");
    vec![(collection, many), (item, one)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_of_a_document_is_defined_in_it() {
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(map) => {
                    if let Some(Value::String(target)) = map.get("$ref") {
                        found.push(target.rsplit('/').next().unwrap_or_default().to_owned());
                    }
                    map.values().for_each(|one| references(one, found));
                }
                Value::Array(items) => items.iter().for_each(|one| references(one, found)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        for (group, version) in resources::group_versions() {
            let document = document(group, version);
            let mut found = Vec::new();
            references(&document, &mut found);
            for name in found {
                let path = ["components", "schemas", name.as_str()];
                assert!(
                    tree::at(&document, &path).is_some(),
                    "{group}/{version}: {name}"
                );
            }
        }
    }
}
