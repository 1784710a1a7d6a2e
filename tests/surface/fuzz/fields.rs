//! The fields of a body as its schema has them, and values at each of their boundaries.

use serde_json::{Value, json};
use unity_shared::clock::Clock;

use crate::surface::{contract::schema::resolve, operations::example};

/// A field, by the way that leads to it.
pub struct Field {
    pub way: Vec<String>,
    pub schema: Value,
}

/// A value, written out, and whether the schema takes it.
#[derive(Clone)]
pub struct Bound {
    pub text: String,
    pub fits: bool,
}

/// Deeper fields are left to those above them.
const DEPTH: usize = 4;

/// Every field that a body of this schema can have, with those of objects and lists in it.
pub fn fields(document: &Value, schema: &Value) -> Vec<Field> {
    let mut found = Vec::new();
    collect(document, schema, &[], &mut found);
    found
}

fn collect(document: &Value, schema: &Value, way: &[String], found: &mut Vec<Field>) {
    if way.len() >= DEPTH {
        return;
    }
    let schema = first_choice(document, schema);
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let way = [way, std::slice::from_ref(name)].concat();
        found.push(Field {
            way: way.clone(),
            schema: field.clone(),
        });
        collect(document, field, &way, found);
    }
    if schema["items"].is_object() {
        let way = [way, &["0".to_owned()]].concat();
        found.push(Field {
            way: way.clone(),
            schema: schema["items"].clone(),
        });
        collect(document, &schema["items"], &way, found);
    }
    if schema["additionalProperties"].is_object() && schema["properties"].is_null() {
        found.push(Field {
            way: [way, &["a".to_owned()]].concat(),
            schema: schema["additionalProperties"].clone(),
        });
    }
}

/// The schema without the null beside it.
fn first_choice<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let schema = resolve(document, schema);
    let choices = schema["oneOf"].as_array().or(schema["anyOf"].as_array());
    let mut choices = choices.into_iter().flatten();
    match choices.find(|choice| choice["type"] != "null") {
        Some(choice) => first_choice(document, choice),
        None => schema,
    }
}

fn may_be_null(document: &Value, schema: &Value) -> bool {
    let schema = resolve(document, schema);
    let choices = schema["oneOf"].as_array().into_iter().flatten();
    let of_types = |schema: &Value| match &schema["type"] {
        Value::Array(types) => types.contains(&json!("null")),
        kind => kind == "null",
    };
    of_types(schema) || choices.into_iter().any(of_types)
}

/// Values on both sides of every boundary that the schema states.
pub fn bounds(document: &Value, schema: &Value) -> Vec<Bound> {
    let mut bounds = vec![Bound {
        text: "null".to_owned(),
        fits: may_be_null(document, schema),
    }];
    let mut add = |text: String, fits: bool| bounds.push(Bound { text, fits });
    let schema = first_choice(document, schema);
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.clone(),
        kind => vec![kind.clone()],
    };
    let is = |kind: &str| kinds.contains(&json!(kind));
    for (kind, other) in [
        ("string", json!(7)),
        ("integer", json!("7")),
        ("integer", json!(1.5)),
        ("boolean", json!(1)),
        ("array", json!({})),
        ("object", json!([])),
    ] {
        if is(kind) {
            add(other.to_string(), false);
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        for value in values {
            add(value.to_string(), true);
        }
        add("\"no such value\"".to_owned(), false);
    } else if is("string") {
        texts(schema, &mut add);
    } else if is("integer") {
        numbers(schema, &mut add);
    } else if is("boolean") {
        add("true".to_owned(), true);
        add("false".to_owned(), true);
    } else if is("array") {
        lists(document, schema, &mut add);
    } else if is("object") {
        objects(schema, &mut add);
    }
    bounds
}

fn number_of(schema: &Value, name: &str) -> Option<usize> {
    schema[name].as_u64().map(|n| usize::try_from(n).unwrap())
}

fn texts(schema: &Value, add: &mut impl FnMut(String, bool)) {
    let quoted = |text: String| json!(text).to_string();
    match schema["format"].as_str() {
        Some("date-time") => {
            let soon = Clock::system().now() + chrono::TimeDelta::hours(1);
            add(quoted(soon.to_rfc3339()), true);
            for bad in [
                "",
                "tomorrow",
                "2030-01-01",
                "2999-13-01T00:00:00Z",
                "2030-01-01T00:00:00",
            ] {
                add(quoted(bad.to_owned()), false);
            }
            return;
        }
        Some("uuid") => {
            add(quoted(uuid::Uuid::now_v7().to_string()), true);
            add(quoted("0198c0de".to_owned()), false);
            return;
        }
        Some("email") => {
            let longest = number_of(schema, "maxLength").unwrap();
            let of_length = |length: usize| format!("{}@b.example", "a".repeat(length - 10));
            add(quoted("a@b".to_owned()), true);
            add(quoted(of_length(longest)), true);
            for bad in [
                of_length(longest + 1),
                "a".to_owned(),
                "a@".to_owned(),
                "a\n@b".to_owned(),
            ] {
                add(quoted(bad), false);
            }
            return;
        }
        _ => {}
    }
    let pattern = schema["pattern"].as_str().unwrap_or_default();
    // Texts of any characters but those of category Cc, or with no pattern at all.
    if !pattern.is_empty() && !pattern.contains("u009f") {
        let example = schema["example"]
            .as_str()
            .or(schema["examples"][0].as_str());
        if let Some(text) = example {
            add(quoted(text.to_owned()), true);
        }
        add(quoted("\u{7}".to_owned()), false);
        return;
    }
    if pattern.contains("u009f") {
        for bad in ["\u{0}", "\u{7}", "\n", "\u{7f}", "\u{9f}"] {
            let text = format!("abcdefghijkl{bad}");
            add(quoted(text), false);
        }
    }
    if pattern.contains("\\s") {
        add(quoted(" \u{2003} ".to_owned()), false);
    }
    if let Some(shortest) = number_of(schema, "minLength") {
        add(quoted("x".repeat(shortest)), true);
        if shortest > 0 {
            add(quoted("x".repeat(shortest - 1)), false);
        }
    }
    if let Some(longest) = number_of(schema, "maxLength") {
        // Lengths are in characters, not in bytes.
        add(quoted("é".repeat(longest)), true);
        add(quoted("x".repeat(longest + 1)), false);
    }
}

fn numbers(schema: &Value, add: &mut impl FnMut(String, bool)) {
    if let Some(least) = schema["minimum"].as_i64() {
        add(least.to_string(), true);
        add(format!("{least}.0"), true);
        add((least - 1).to_string(), false);
    }
    if let Some(most) = schema["maximum"].as_i64() {
        add(most.to_string(), true);
        add((most + 1).to_string(), false);
        add(u64::MAX.to_string(), false);
    }
    add("1e400".to_owned(), false);
}

fn lists(document: &Value, schema: &Value, add: &mut impl FnMut(String, bool)) {
    let item = example::of(document, &schema["items"]);
    let list = |length: usize| json!(vec![&item; length]).to_string();
    let shortest = number_of(schema, "minItems").unwrap_or(0);
    add(list(shortest), true);
    if shortest > 0 {
        add(list(shortest - 1), false);
    }
    if let Some(longest) = number_of(schema, "maxItems") {
        add(list(longest), true);
        add(list(longest + 1), false);
    }
}

fn objects(schema: &Value, add: &mut impl FnMut(String, bool)) {
    if schema["additionalProperties"] == false {
        add("{\"surprise\": 1}".to_owned(), false);
    }
    if number_of(schema, "minProperties").is_some_and(|least| least > 0) {
        add("{}".to_owned(), false);
    }
    let longest = |part: &str| number_of(&schema[part], "maxLength");
    if let (Some(key), Some(value)) = (longest("propertyNames"), longest("additionalProperties")) {
        let one =
            |key: usize, value: usize| json!({ "k".repeat(key): "é".repeat(value) }).to_string();
        add(one(key, value), true);
        add(one(key + 1, value), false);
        add(one(key, value + 1), false);
        add("{\"\": \"\"}".to_owned(), false);
        add("{\"a\\u0007\": \"\"}".to_owned(), false);
        add("{\"a\": \"\\u0085\"}".to_owned(), false);
    }
    if let Some(most) = number_of(schema, "maxProperties") {
        let many = |count: usize| {
            let fields: serde_json::Map<String, Value> =
                (0..count).map(|n| (n.to_string(), json!(""))).collect();
            Value::Object(fields).to_string()
        };
        add(many(most), true);
        add(many(most + 1), false);
    }
}

/// The body with this text in the field's place, which need not be JSON; what is on the way there and
/// is missing is made.
pub fn with_text(body: &Value, way: &[String], text: &str) -> String {
    const HERE: &str = "\u{fdd0}here\u{fdd0}";
    let mut body = body.clone();
    let mut place = &mut body;
    for name in way {
        place = step_into(place, name);
    }
    *place = json!(HERE);
    body.to_string().replacen(&json!(HERE).to_string(), text, 1)
}

fn step_into<'a>(place: &'a mut Value, name: &str) -> &'a mut Value {
    if let Ok(index) = name.parse::<usize>() {
        if place.get(index).is_none() {
            *place = json!([null]);
        }
        return &mut place[index];
    }
    if !place.is_object() {
        *place = json!({});
    }
    &mut place[name]
}
