//! A body that the document would accept, made from its schemas.

use serde_json::{Map, Value, json};

use super::Operation;

/// The smallest body of an operation that takes one.
pub fn body_of(document: &Value, operation: &Operation) -> Option<Value> {
    let method = operation.method.as_str().to_lowercase();
    let content = &document["paths"][&operation.path][method]["requestBody"]["content"];
    let (_, described) = content.as_object()?.iter().next()?;
    Some(of(document, &described["schema"]))
}

/// The smallest value of a schema.
pub fn of(document: &Value, schema: &Value) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        return of(document, document.pointer(&reference[1..]).unwrap());
    }
    if let Some(value) = schema
        .get("example")
        .or_else(|| schema["examples"].get(0))
        .or_else(|| schema["enum"].get(0))
        .or_else(|| schema.get("const"))
    {
        return value.clone();
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        let mut schemas = schema[choice].as_array().into_iter().flatten();
        if let Some(one) = schemas.find(|one| one["type"] != "null") {
            return of(document, one);
        }
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find(|kind| **kind != "null"),
        kind => Some(kind),
    };
    match kind.and_then(Value::as_str) {
        Some("object") | None => object(document, schema),
        Some("array") => json!([of(document, &schema["items"])]),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        Some("boolean") => json!(true),
        Some(_) => text(schema),
    }
}

/// What is required; of a change in which nothing is, its first field.
fn object(document: &Value, schema: &Value) -> Value {
    let mut fields = Map::new();
    let Some(known) = schema["properties"].as_object() else {
        return json!({});
    };
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (name, field) in known {
        let wanted = required.contains(&name.as_str());
        if wanted || (required.is_empty() && fields.is_empty()) {
            fields.insert(name.clone(), of(document, field));
        }
    }
    Value::Object(fields)
}

fn text(schema: &Value) -> Value {
    match schema["format"].as_str() {
        Some("uuid") => json!("0198c0de-0000-7000-8000-000000000001"),
        Some("date-time") => json!("2999-01-01T00:00:00Z"),
        Some("uri") => json!("https://people.example"),
        _ => json!("x".repeat(usize::try_from(schema["minLength"].as_u64().unwrap_or(1)).unwrap())),
    }
}
