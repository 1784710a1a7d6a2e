//! Turns a request body into an object of its kind: types checked, unknown fields found and
//! dropped, nothing left that a typed server would not have kept.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::quantity::Quantity;
use crate::schema::{self, ListOwnership, Scalar, Shape};
use crate::status::Cause;

/// What was found in a body besides the object.
#[derive(Debug, Default)]
pub struct Findings {
    /// Paths of fields that the kind does not have.
    pub unknown: Vec<String>,
    /// The first value of a wrong type: its path, what it is, what it should be.
    pub mistyped: Option<Mistyped>,
}

/// A value that does not fit its field.
#[derive(Debug)]
pub struct Mistyped {
    /// Path of the field.
    pub path: String,
    /// What was sent, for example `string`.
    pub found: &'static str,
    /// What the field takes, for example `int32`.
    pub expected: &'static str,
}

/// Checks `value` against `shape`, removes what the shape does not have, and reports both.
pub fn decode(shape: &Shape, value: &mut Value) -> Findings {
    let mut findings = Findings::default();
    walk(shape, value, "", &mut findings);
    findings
}

fn walk(shape: &Shape, value: &mut Value, path: &str, findings: &mut Findings) {
    match shape {
        Shape::Any => {}
        Shape::Scalar(scalar) => decode_scalar(*scalar, value, path, findings),
        Shape::List { item, .. } => match value {
            Value::Array(items) => {
                for (index, one) in items.iter_mut().enumerate() {
                    walk(item, one, &format!("{path}[{index}]"), findings);
                }
            }
            other => mistyped(path, other, "list", findings),
        },
        Shape::Map { value: inner, .. } => match value {
            Value::Object(map) => {
                map.retain(|_, one| !one.is_null() || is_text(inner));
                for (key, one) in map {
                    if one.is_null() {
                        *one = Value::String(String::new());
                    }
                    walk(inner, one, &join(path, key), findings);
                }
            }
            other => mistyped(path, other, "map", findings),
        },
        Shape::Struct(name) => match value {
            Value::Object(map) => decode_struct(name, map, path, findings),
            other => mistyped(path, other, "object", findings),
        },
    }
}

fn is_text(shape: &Shape) -> bool {
    matches!(shape, Shape::Scalar(Scalar::Text | Scalar::Bytes))
}

fn decode_struct(name: &str, map: &mut Map<String, Value>, path: &str, findings: &mut Findings) {
    let Some(known) = schema::find(name) else {
        return;
    };
    map.retain(|key, value| {
        let is_known = known.fields.contains_key(key.as_str());
        if !is_known {
            findings.unknown.push(join(path, key));
        }
        is_known && !value.is_null()
    });
    for (key, value) in map {
        if let Some(field) = known.fields.get(key.as_str()) {
            walk(&field.shape, value, &join(path, key), findings);
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn decode_scalar(scalar: Scalar, value: &mut Value, path: &str, findings: &mut Findings) {
    let expected = match scalar {
        Scalar::Text if value.is_string() => return,
        Scalar::Text => "string",
        Scalar::Time => {
            if value
                .as_str()
                .is_some_and(|t| chrono::DateTime::parse_from_rfc3339(t).is_ok())
            {
                return;
            }
            "time (RFC 3339)"
        }
        Scalar::Bytes => {
            if value
                .as_str()
                .is_some_and(|text| STANDARD.decode(text).is_ok())
            {
                return;
            }
            "base64"
        }
        Scalar::Bool if value.is_boolean() => return,
        Scalar::Bool => "bool",
        Scalar::Int32 if value.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => return,
        Scalar::Int32 => "int32",
        Scalar::Int64 if value.is_i64() => return,
        Scalar::Int64 => "int64",
        Scalar::Number if value.is_number() => return,
        Scalar::Number => "float64",
        Scalar::IntOrText if value.is_i64() || value.is_string() => return,
        Scalar::IntOrText => "int or string",
        Scalar::Quantity => {
            let text = match &*value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => String::new(),
            };
            if let Some(quantity) = Quantity::parse(&text) {
                *value = Value::String(quantity.canonical());
                return;
            }
            "quantity"
        }
    };
    mistyped(path, value, expected, findings);
}

fn mistyped(path: &str, value: &Value, expected: &'static str, findings: &mut Findings) {
    if findings.mistyped.is_none() {
        let found = match value {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        findings.mistyped = Some(Mistyped {
            path: path.to_owned(),
            found,
            expected,
        });
    }
}

/// Removes the optional lists and maps that are empty, as encoding a typed object does.
pub fn normalize(shape: &Shape, value: &mut Value) {
    match (shape, value) {
        (Shape::Struct(name), Value::Object(map)) => {
            let Some(known) = schema::find(name) else {
                return;
            };
            for (key, one) in map.iter_mut() {
                normalize(shape.child(key), one);
            }
            map.retain(|key, one| {
                let Some(field) = known.fields.get(key.as_str()) else {
                    return true;
                };
                field.required || !is_empty_collection(&field.shape, one)
            });
        }
        (Shape::List { item, .. }, Value::Array(items)) => {
            for one in items {
                normalize(item, one);
            }
        }
        (Shape::Map { value: inner, .. }, Value::Object(map)) => {
            for one in map.values_mut() {
                normalize(inner, one);
            }
        }
        (
            Shape::Scalar(_)
            | Shape::Any
            | Shape::Struct(_)
            | Shape::List { .. }
            | Shape::Map { .. },
            _,
        ) => {}
    }
}

fn is_empty_collection(shape: &Shape, value: &Value) -> bool {
    match (shape, value) {
        (Shape::List { .. }, Value::Array(items)) => items.is_empty(),
        (Shape::Map { .. }, Value::Object(map)) => map.is_empty(),
        _ => false,
    }
}

/// The required fields that are missing below `value`, one cause each.
pub fn missing(shape: &Shape, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    match (shape, value) {
        (Shape::Struct(name), Value::Object(map)) => {
            let Some(known) = schema::find(name) else {
                return;
            };
            for (key, field) in &known.fields {
                let here = join(path, key);
                match map.get(*key) {
                    Some(one) if !(field.required && is_blank(one)) => {
                        missing(&field.shape, one, &here, causes);
                    }
                    Some(_) | None if field.required => causes.push(Cause::required(here, "")),
                    Some(_) | None => {}
                }
            }
        }
        (Shape::List { item, ownership }, Value::Array(items)) => {
            for (index, one) in items.iter().enumerate() {
                missing(item, one, &format!("{path}[{index}]"), causes);
            }
            duplicates(ownership, items, path, causes);
        }
        (Shape::Map { value: inner, .. }, Value::Object(map)) => {
            for (key, one) in map {
                missing(inner, one, &format!("{path}[{key}]"), causes);
            }
        }
        (
            Shape::Scalar(_)
            | Shape::Any
            | Shape::Struct(_)
            | Shape::List { .. }
            | Shape::Map { .. },
            _,
        ) => {}
    }
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

/// Two items with one name cannot be told apart by anybody; only lists keyed by a lone `name`
/// are refused, because the API server tolerates the other duplicates.
fn duplicates(ownership: &ListOwnership, items: &[Value], path: &str, causes: &mut Vec<Cause>) {
    let ListOwnership::Map(keys) = ownership else {
        return;
    };
    if keys.len() != 1 || keys.first().is_none_or(|key| key.name != "name") {
        return;
    }
    let field = path.rsplit('.').next().unwrap_or_default();
    let is_tolerated = ["env", "imagePullSecrets", "secrets"].contains(&field);
    let mut seen = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let Some(name) = item.get("name").filter(|_| !is_tolerated) else {
            continue;
        };
        if seen.contains(&name) {
            causes.push(Cause {
                reason: "FieldValueDuplicate",
                message: format!("Duplicate value: {name}"),
                field: format!("{path}[{index}].name"),
            });
        }
        seen.push(name);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DEPLOYMENT: Shape = Shape::Struct("apps.v1.Deployment");

    #[test]
    fn unknown_fields_are_reported_by_path_and_dropped() {
        let mut value = json!({"spec": {"replica": 1,
            "template": {"spec": {"containers": [{"name": "a", "imagee": "b"}]}}}});
        let findings = decode(&DEPLOYMENT, &mut value);
        assert_eq!(
            findings.unknown,
            ["spec.replica", "spec.template.spec.containers[0].imagee"]
        );
        assert_eq!(
            value,
            json!({"spec": {"template": {"spec": {"containers": [{"name": "a"}]}}}})
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named() {
        let mut value = json!({"spec": {"replicas": "three"}});
        let found = decode(&DEPLOYMENT, &mut value).mistyped.expect("mistyped");
        assert_eq!(
            (found.path.as_str(), found.found, found.expected),
            ("spec.replicas", "string", "int32")
        );
    }

    #[test]
    fn nulls_vanish_and_amounts_become_canonical() {
        let shape = Shape::Struct("core.v1.ResourceQuota");
        let mut value = json!({"spec": {"hard": {"cpu": 0.5, "memory": "1024Mi"}, "scopes": null}});
        decode(&shape, &mut value);
        assert_eq!(
            value,
            json!({"spec": {"hard": {"cpu": "500m", "memory": "1Gi"}}})
        );
    }

    #[test]
    fn missing_required_fields_are_found_in_lists() {
        let value = json!({"spec": {"selector": {}, "template": {"spec":
            {"containers": [{"image": "x"}]}}}});
        let mut causes = Vec::new();
        missing(&DEPLOYMENT, &value, "", &mut causes);
        let fields: Vec<_> = causes.iter().map(|cause| cause.field.as_str()).collect();
        assert_eq!(fields, ["spec.template.spec.containers[0].name"]);
    }
}
