//! Compares an answer with the schema that the document gives for it: no field that is not described,
//! none missing that is required, each of its type.

use serde_json::Value;

use crate::harness::Answer;

/// Checks the answer's status, content type and body against the operation of this name.
pub fn check(document: &Value, operation: &str, answer: &Answer) {
    let faults = faults(document, operation, answer);
    assert!(
        faults.is_empty(),
        "{operation} {}: {faults:#?}\n{}",
        answer.status,
        answer.text
    );
}

/// What of the answer is not as the document has it.
pub fn faults(document: &Value, operation: &str, answer: &Answer) -> Vec<String> {
    let responses = &described(document, operation)["responses"];
    let status = answer.status.as_u16().to_string();
    let response = match responses.get(&status) {
        Some(response) => response,
        None if answer.status.is_success() => return vec![format!("{status} is not described")],
        None => &responses["default"],
    };
    let mut faults = Vec::new();
    let headers = response["headers"].as_object().into_iter();
    for header in headers.flat_map(|headers| headers.keys()) {
        if !answer.headers.contains_key(header) {
            faults.push(format!("the header {header} is promised"));
        }
    }
    if response["content"].is_null() {
        if !answer.text.is_empty() {
            faults.push("no body is described".to_owned());
        }
        return faults;
    }
    let kind = answer.header("content-type");
    let schema = &response["content"][kind]["schema"];
    if schema.is_object() {
        compare(document, schema, &answer.json, "", &mut faults);
    } else {
        faults.push(format!("{kind} is not described"));
    }
    faults
}

/// The operation of this name.
pub fn described<'a>(document: &'a Value, operation: &str) -> &'a Value {
    let items = document["paths"].as_object().unwrap().values();
    items
        .flat_map(|item| item.as_object().unwrap().values())
        .find(|described| described["operationId"] == operation)
        .unwrap_or_else(|| panic!("no operation {operation}"))
}

/// The schema itself, also where it is only named.
pub fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => {
            let pointer = reference.strip_prefix('#').unwrap();
            let found = document.pointer(pointer);
            resolve(
                document,
                found.unwrap_or_else(|| panic!("{reference} leads nowhere")),
            )
        }
        None => schema,
    }
}

fn compare(document: &Value, schema: &Value, value: &Value, place: &str, faults: &mut Vec<String>) {
    let schema = resolve(document, schema);
    if let Some(choices) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
        let fits = |choice: &Value| {
            let mut found = Vec::new();
            compare(document, choice, value, place, &mut found);
            found.is_empty()
        };
        if !choices.iter().any(fits) {
            faults.push(format!("{place}: {value} is none of the choices"));
        }
        return;
    }
    compare_type(schema, value, place, faults);
    let parts = parts_of(document, schema, value);
    match value {
        Value::Object(fields) => {
            compare_fields(document, &parts, fields, place, faults);
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                compare(
                    document,
                    &schema["items"],
                    item,
                    &format!("{place}/{index}"),
                    faults,
                );
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The schema itself, or everything that it is put together from: of parts that are a choice, the first
/// whose required fields are all there.
fn parts_of<'a>(document: &'a Value, schema: &'a Value, value: &Value) -> Vec<&'a Value> {
    let schema = resolve(document, schema);
    if let Some(parts) = schema["allOf"].as_array() {
        return parts
            .iter()
            .flat_map(|part| parts_of(document, part, value))
            .collect();
    }
    let fits = |choice: &&Value| {
        let required = resolve(document, choice)["required"].as_array();
        let mut names = required.into_iter().flatten();
        names.all(|name| value.get(name.as_str().unwrap()).is_some())
    };
    match schema["oneOf"].as_array() {
        Some(choices) => choices
            .iter()
            .find(fits)
            .map_or_else(|| vec![schema], |choice| parts_of(document, choice, value)),
        None => vec![schema],
    }
}

fn compare_fields(
    document: &Value,
    parts: &[&Value],
    fields: &serde_json::Map<String, Value>,
    place: &str,
    faults: &mut Vec<String>,
) {
    let described = |name: &str| parts.iter().find_map(|part| part["properties"].get(name));
    let is_map = parts.iter().all(|part| part["properties"].is_null());
    for (name, field) in fields {
        let place = format!("{place}/{name}");
        match described(name) {
            Some(schema) => compare(document, schema, field, &place, faults),
            None if is_map => {}
            None => faults.push(format!("{place}: is not described")),
        }
    }
    for required in parts
        .iter()
        .filter_map(|part| part["required"].as_array())
        .flatten()
    {
        if !fields.contains_key(required.as_str().unwrap()) {
            faults.push(format!("{place}: {required} is missing"));
        }
    }
}

fn compare_type(schema: &Value, value: &Value, place: &str, faults: &mut Vec<String>) {
    let stated = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let own: &[&str] = match value {
        Value::Null => &["null"],
        Value::Bool(_) => &["boolean"],
        Value::Number(number) if number.is_f64() => &["number"],
        Value::Number(_) => &["integer", "number"],
        Value::String(_) => &["string"],
        Value::Array(_) => &["array"],
        Value::Object(_) => &["object"],
    };
    if !stated.is_empty() && !own.iter().any(|own| stated.contains(own)) {
        faults.push(format!("{place}: {value} is not {stated:?}"));
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        faults.push(format!("{place}: {value} is none of {allowed:?}"));
    }
}

#[test]
fn the_comparison_finds_what_does_not_fit() {
    let document = serde_json::json!({
        "components": { "schemas": { "A": {
            "type": "object", "required": ["id"], "properties": {
                "id": { "type": "string" }, "n": { "type": ["integer", "null"] },
                "sort": { "type": "string", "enum": ["x", "y"] },
                "inner": { "oneOf": [{ "type": "null" }, { "$ref": "#/components/schemas/A" }] },
            },
        } } },
    });
    let schema = serde_json::json!({ "allOf": [{ "$ref": "#/components/schemas/A" }] });
    let faults = |value: Value| {
        let mut faults = Vec::new();
        compare(&document, &schema, &value, "", &mut faults);
        faults.len()
    };
    assert_eq!(
        faults(serde_json::json!({ "id": "a", "n": null, "inner": { "id": "b" } })),
        0
    );
    for bad in [
        serde_json::json!({}),
        serde_json::json!({ "id": 1 }),
        serde_json::json!({ "id": "a", "extra": 1 }),
        serde_json::json!({ "id": "a", "n": 1.5 }),
        serde_json::json!({ "id": "a", "sort": "z" }),
        serde_json::json!({ "id": "a", "inner": {} }),
    ] {
        assert_eq!(faults(bad.clone()), 1, "{bad}");
    }
}
