//! Strategic merge patch: lists of the usual kinds merge item by item, directives delete,
//! replace and order.

use serde_json::{Map, Value};

use crate::schema::Shape;
use crate::status::Failure;

const DIRECTIVE: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE: &str = "$deleteFromPrimitiveList/";

/// Lays `patch` over `live`.
///
/// # Errors
/// 400 when a list item does not carry the key that its list merges by, or a directive is unknown.
pub fn merge(shape: &Shape, live: &Value, patch: &Value) -> Result<Value, Failure> {
    let (Value::Object(live), Value::Object(patch)) = (live, patch) else {
        return Ok(patch.clone());
    };
    merge_maps(shape, live, patch).map(Value::Object)
}

fn merge_maps(
    shape: &Shape,
    live: &Map<String, Value>,
    patch: &Map<String, Value>,
) -> Result<Map<String, Value>, Failure> {
    let mut merged = match patch.get(DIRECTIVE).and_then(Value::as_str) {
        None | Some("merge") => live.clone(),
        Some("replace" | "delete") => Map::new(),
        Some(other) => return Err(unknown_directive(other)),
    };
    if let Some(Value::Array(retained)) = patch.get(RETAIN) {
        merged.retain(|key, _| retained.iter().any(|one| one == key));
    }
    for (key, values) in patch
        .iter()
        .filter_map(|(k, v)| Some((k.strip_prefix(DELETE)?, v)))
    {
        if let (Some(Value::Array(items)), Value::Array(gone)) = (merged.get_mut(key), values) {
            items.retain(|item| !gone.contains(item));
        }
    }
    for (key, value) in patch.iter().filter(|(key, _)| !key.starts_with('$')) {
        if value.is_null() {
            merged.remove(key);
        } else {
            let new = merge_field(shape, key, merged.get(key), value)?;
            merged.insert(key.clone(), new);
        }
    }
    for (key, order) in patch
        .iter()
        .filter_map(|(k, v)| Some((k.strip_prefix(ORDER)?, v)))
    {
        if let (Some(Value::Array(items)), Value::Array(order)) = (merged.get_mut(key), order) {
            let merge_key = shape.field(key).and_then(|field| field.merge_key);
            *items = ordered(items, order, merge_key.filter(|key| !key.is_empty()));
        }
    }
    Ok(merged)
}

fn unknown_directive(name: &str) -> Failure {
    Failure::bad_request(format!("Unknown patch type found: {name}"))
}

fn merge_field(
    parent: &Shape,
    name: &str,
    live: Option<&Value>,
    patch: &Value,
) -> Result<Value, Failure> {
    let (shape, none) = (parent.child(name), Map::new());
    match (live, patch) {
        (Some(Value::Object(live)), Value::Object(patch)) => {
            merge_maps(shape, live, patch).map(Value::Object)
        }
        (_, Value::Object(patch)) => merge_maps(shape, &none, patch).map(Value::Object),
        (live, Value::Array(patch)) => {
            let live = live
                .and_then(Value::as_array)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let merge_key = parent.field(name).and_then(|field| field.merge_key);
            merge_lists(shape, merge_key, live, patch).map(Value::Array)
        }
        (_, Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            Ok(patch.clone())
        }
    }
}

fn merge_lists(
    shape: &Shape,
    merge_key: Option<&str>,
    live: &[Value],
    patch: &[Value],
) -> Result<Vec<Value>, Failure> {
    match (merge_key, shape) {
        (Some(""), _) => {
            let new = patch.iter().filter(|value| !live.contains(value));
            Ok(live.iter().chain(new).cloned().collect())
        }
        (Some(key), Shape::List { item, .. }) => merge_items(item, key, live, patch),
        (Some(_) | None, _) => Ok(patch
            .iter()
            .filter(|item| item.get(DIRECTIVE).is_none())
            .cloned()
            .collect()),
    }
}

fn merge_items(
    item: &Shape,
    key: &str,
    live: &[Value],
    patch: &[Value],
) -> Result<Vec<Value>, Failure> {
    let is_replaced = patch
        .iter()
        .any(|one| one.get(DIRECTIVE).is_some_and(|d| d == "replace") && one.get(key).is_none());
    let mut merged = if is_replaced {
        Vec::new()
    } else {
        live.to_vec()
    };
    for one in patch {
        let directive = one.get(DIRECTIVE).and_then(Value::as_str);
        let Some(name) = one.get(key) else {
            if directive.is_some() {
                continue;
            }
            return Err(Failure::bad_request(format!(
                "map: {one} does not contain declared merge key: {key}"
            )));
        };
        if directive == Some("delete") {
            merged.retain(|here| here.get(key) != Some(name));
            continue;
        }
        match merged.iter_mut().find(|here| here.get(key) == Some(name)) {
            Some(here) => *here = merge(item, here, one)?,
            None => merged.push(merge(item, &Value::Object(Map::new()), one)?),
        }
    }
    Ok(merged)
}

/// Items in the given order; the others keep their place before the item that they preceded.
fn ordered(items: &[Value], order: &[Value], key: Option<&str>) -> Vec<Value> {
    let is_same = |item: &Value, wanted: &Value| match key {
        Some(key) => item.get(key).is_some() && item.get(key) == wanted.get(key),
        None => item == wanted,
    };
    let is_ordered = |item: &Value| order.iter().any(|wanted| is_same(item, wanted));
    let mut wanted = order
        .iter()
        .filter_map(|wanted| items.iter().find(|item| is_same(item, wanted)))
        .cloned();
    items
        .iter()
        .filter_map(|item| {
            if is_ordered(item) {
                wanted.next()
            } else {
                Some(item.clone())
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SERVICE: Shape = Shape::Struct("core.v1.Service");
    const POD: Shape = Shape::Struct("core.v1.Pod");

    #[test]
    fn containers_merge_by_name_and_can_be_deleted() {
        let live = json!({"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b"}]}});
        let patch = json!({"spec": {"containers": [
            {"name": "a", "tty": true}, {"name": "b", "$patch": "delete"}, {"name": "c"}]}});
        assert_eq!(
            merge(&POD, &live, &patch),
            Ok(json!({"spec": {"containers": [
                {"name": "a", "image": "1", "tty": true}, {"name": "c"}]}}))
        );
    }

    #[test]
    fn service_ports_merge_by_port_and_take_the_given_order() {
        let live = json!({"spec": {"ports": [{"port": 80}, {"port": 443}]}});
        let patch = json!({"spec": {"ports": [{"port": 443, "name": "s"}],
            "$setElementOrder/ports": [{"port": 443}, {"port": 80}]}});
        assert_eq!(
            merge(&SERVICE, &live, &patch),
            Ok(json!({"spec": {"ports": [{"port": 443, "name": "s"}, {"port": 80}]}}))
        );
    }

    #[test]
    fn an_item_without_its_key_is_refused() {
        let patch = json!({"spec": {"containers": [{"image": "x"}]}});
        let failure = merge(&POD, &json!({}), &patch).expect_err("refused");
        assert_eq!(failure.code, 400);
    }

    #[test]
    fn finalizers_are_added_and_deleted_one_by_one() {
        let live = json!({"metadata": {"finalizers": ["a/1", "b/2"]}});
        let patch = json!({"metadata": {"finalizers": ["c/3"],
            "$deleteFromPrimitiveList/finalizers": ["a/1"]}});
        assert_eq!(
            merge(&POD, &live, &patch),
            Ok(json!({"metadata": {"finalizers": ["b/2", "c/3"]}}))
        );
    }

    #[test]
    fn retained_keys_drop_the_rest() {
        let shape = Shape::Struct("apps.v1.Deployment");
        let live = json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {}}}});
        let patch = json!({"spec": {"strategy": {"type": "Recreate", "$retainKeys": ["type"]}}});
        assert_eq!(
            merge(&shape, &live, &patch),
            Ok(json!({"spec": {"strategy": {"type": "Recreate"}}}))
        );
    }
}
