//! Server-side apply's two movements: lay a configuration over an object, and take away what a
//! manager stopped applying and nobody else owns.

use serde_json::{Map, Value};

use crate::managed_fields::ownership::{item_step, value_step};
use crate::managed_fields::set::{FieldSet, field};
use crate::schema::{KeyField, Parts, Shape};

/// `live` with every field of `config` set; fields that `config` does not mention stay.
pub fn overlay(shape: &Shape, live: Option<&Value>, config: &Value) -> Value {
    let Some(live) = live else {
        return config.clone();
    };
    match (shape.parts(), live, config) {
        (Parts::Fields | Parts::Keys(_), Value::Object(live), Value::Object(config)) => {
            let mut merged = live.clone();
            for (name, value) in config {
                merged.insert(
                    name.clone(),
                    overlay(shape.child(name), live.get(name), value),
                );
            }
            Value::Object(merged)
        }
        (Parts::Values, Value::Array(live), Value::Array(config)) => {
            let new = config.iter().filter(|value| !live.contains(value));
            Value::Array(live.iter().chain(new).cloned().collect())
        }
        (Parts::Items(item, keys), Value::Array(live), Value::Array(config)) => {
            Value::Array(overlay_items(item, keys, live, config))
        }
        _ => config.clone(),
    }
}

/// Applied items come in the order of the configuration; the others keep their place before the
/// applied item that they preceded.
fn overlay_items(item: &Shape, keys: &[KeyField], live: &[Value], config: &[Value]) -> Vec<Value> {
    let steps =
        |items: &[Value]| -> Vec<String> { items.iter().map(|one| item_step(one, keys)).collect() };
    let (live_steps, config_steps) = (steps(live), steps(config));
    let mut merged = Vec::new();
    let mut rest = live.iter().zip(&live_steps).peekable();
    for (value, step) in config.iter().zip(&config_steps) {
        while let Some((other, _)) = rest.next_if(|(_, step)| !config_steps.contains(step)) {
            merged.push(other.clone());
        }
        let before = live.iter().zip(&live_steps).find(|(_, here)| *here == step);
        merged.push(overlay(item, before.map(|(value, _)| value), value));
        rest.next_if(|(_, here)| config_steps.contains(here));
    }
    merged.extend(
        rest.filter(|(_, step)| !config_steps.contains(step))
            .map(|(other, _)| other.clone()),
    );
    merged
}

/// `value` without the paths of `dropped`, except where `kept` (what others own) needs them.
/// `None` when nothing is left.
pub fn prune(
    shape: &Shape,
    value: &Value,
    dropped: &FieldSet,
    kept: Option<&FieldSet>,
) -> Option<Value> {
    if dropped.is_owned() && kept.is_none_or(FieldSet::is_empty) {
        return None;
    }
    match (shape.parts(), value) {
        (Parts::Fields | Parts::Keys(_), Value::Object(map)) => {
            prune_map(shape, map, dropped, kept)
        }
        (Parts::Values, Value::Array(items)) => {
            let left = items.iter().filter(|value| {
                let step = value_step(value);
                dropped.child(&step).is_none() || kept.is_some_and(|set| set.child(&step).is_some())
            });
            non_empty(left.cloned().collect())
        }
        (Parts::Items(item, keys), Value::Array(items)) => {
            let left = items.iter().filter_map(|one| {
                let step = item_step(one, keys);
                let Some(dropped) = dropped.child(&step) else {
                    return Some(one.clone());
                };
                let kept = kept.and_then(|set| set.child(&step));
                let mut pruned = prune(item, one, dropped, kept)?;
                restore_keys(&mut pruned, one, keys);
                Some(pruned)
            });
            non_empty(left.collect())
        }
        _ => Some(value.clone()),
    }
}

fn prune_map(
    shape: &Shape,
    map: &Map<String, Value>,
    dropped: &FieldSet,
    kept: Option<&FieldSet>,
) -> Option<Value> {
    let mut left = Map::new();
    for (name, one) in map {
        let step = field(name);
        let pruned = match dropped.child(&step) {
            None => Some(one.clone()),
            Some(below) => prune(
                shape.child(name),
                one,
                below,
                kept.and_then(|set| set.child(&step)),
            ),
        };
        if let Some(pruned) = pruned {
            left.insert(name.clone(), pruned);
        }
    }
    (!left.is_empty()).then_some(Value::Object(left))
}

fn non_empty(items: Vec<Value>) -> Option<Value> {
    (!items.is_empty()).then_some(Value::Array(items))
}

/// An item that stays keeps the fields that name it.
fn restore_keys(pruned: &mut Value, original: &Value, keys: &[KeyField]) {
    for key in keys {
        if let (Some(value), Some(map)) = (original.get(key.name), pruned.as_object_mut()) {
            map.insert(key.name.to_owned(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::managed_fields::ownership::fields_of;

    const POD: Shape = Shape::Struct("core.v1.Pod");

    fn containers(items: &Value) -> Value {
        json!({"spec": {"containers": items}})
    }

    #[test]
    fn an_applied_container_joins_the_others() {
        let live =
            containers(&json!([{"name": "side", "image": "s"}, {"name": "web", "tty": true}]));
        let config = containers(&json!([{"name": "web", "image": "w"}, {"name": "new"}]));
        assert_eq!(
            overlay(&POD, Some(&live), &config),
            containers(&json!([
                {"name": "side", "image": "s"},
                {"name": "web", "tty": true, "image": "w"},
                {"name": "new"}
            ]))
        );
    }

    #[test]
    fn atomic_lists_are_replaced() {
        let shape = Shape::Struct("rbac.v1.Role");
        let live = json!({"rules": [{"verbs": ["get"]}, {"verbs": ["list"]}]});
        let config = json!({"rules": [{"verbs": ["watch"]}]});
        assert_eq!(overlay(&shape, Some(&live), &config), config);
    }

    #[test]
    fn finalizers_unite() {
        let live = json!({"metadata": {"finalizers": ["a/1"]}});
        let config = json!({"metadata": {"finalizers": ["b/2", "a/1"]}});
        assert_eq!(
            overlay(&POD, Some(&live), &config),
            json!({"metadata": {"finalizers": ["a/1", "b/2"]}})
        );
    }

    #[test]
    fn a_dropped_item_goes_unless_another_manager_owns_a_part() {
        let live = containers(&json!([{"name": "a", "image": "1", "tty": true}, {"name": "b"}]));
        let dropped = fields_of(&POD, &containers(&json!([{"name": "a", "image": "1"}])));
        assert_eq!(
            prune(&POD, &live, &dropped, None),
            Some(containers(&json!([{"name": "b"}])))
        );
        let others = fields_of(&POD, &containers(&json!([{"name": "a", "tty": true}])));
        assert_eq!(
            prune(&POD, &live, &dropped, Some(&others)),
            Some(containers(
                &json!([{"name": "a", "tty": true}, {"name": "b"}])
            ))
        );
    }
}
