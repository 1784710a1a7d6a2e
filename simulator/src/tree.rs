//! Reads and writes one place in a JSON tree, because every object here is untyped JSON.

use serde_json::{Map, Value};

/// The value at `path`, or `None` when a step is missing.
pub fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |here, step| here.get(step))
}

/// The text at `path`; empty when it is missing or no string.
pub fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    at(value, path).and_then(Value::as_str).unwrap_or_default()
}

/// The items of the list at `path`; none when it is missing or no list.
pub fn items<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    at(value, path)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// The texts of the list at `path`, in order.
pub fn texts<'a>(value: &'a Value, path: &[&str]) -> Vec<&'a str> {
    items(value, path)
        .iter()
        .filter_map(Value::as_str)
        .collect()
}

/// The whole number at `path`.
pub fn number(value: &Value, path: &[&str]) -> Option<i64> {
    at(value, path).and_then(Value::as_i64)
}

/// The map at `path`, made (over whatever was there) when it is missing.
pub fn map_mut<'a>(value: &'a mut Value, path: &[&str]) -> &'a mut Map<String, Value> {
    let here = as_map(value);
    match path {
        [] => here,
        [step, rest @ ..] => map_mut(
            here.entry(*step)
                .or_insert_with(|| Value::Object(Map::new())),
            rest,
        ),
    }
}

fn as_map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            unreachable!("replaced by a map just above")
        }
    }
}

/// Writes `new` at `path`, making the maps on the way.
pub fn put(value: &mut Value, path: &[&str], new: impl Into<Value>) {
    if let [parents @ .., last] = path {
        map_mut(value, parents).insert((*last).to_owned(), new.into());
    }
}

/// Writes `new` at `path` unless something is there already.
pub fn put_default(value: &mut Value, path: &[&str], new: impl Into<Value>) {
    if at(value, path).is_none() {
        put(value, path, new);
    }
}

/// Removes and returns what is at `path`; the maps on the way stay as they are.
pub fn take(value: &mut Value, path: &[&str]) -> Option<Value> {
    let (last, parents) = path.split_last()?;
    let mut here = value;
    for step in parents {
        here = here.get_mut(*step)?;
    }
    here.as_object_mut()?.remove(*last)
}

/// Puts `from`'s value at `path` into `into`, or removes it there when `from` has none.
pub fn carry(from: &Value, into: &mut Value, path: &[&str]) {
    match at(from, path) {
        Some(value) => put(into, path, value.clone()),
        None => {
            take(into, path);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn writing_makes_the_maps_on_the_way() {
        let mut value = json!({});
        put(&mut value, &["metadata", "labels", "a"], "b");
        assert_eq!(value, json!({"metadata": {"labels": {"a": "b"}}}));
        assert_eq!(text(&value, &["metadata", "labels", "a"]), "b");
    }

    #[test]
    fn carrying_an_absent_value_removes_it() {
        let mut into = json!({"status": {"phase": "x"}, "spec": 1});
        carry(&json!({}), &mut into, &["status"]);
        assert_eq!(into, json!({"spec": 1}));
    }
}
