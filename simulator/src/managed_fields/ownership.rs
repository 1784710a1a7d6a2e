//! Which paths an object has and which differ between two objects, by the schema's ownership rules.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::set::{FieldSet, field};
use crate::schema::{KeyField, Parts, Shape};

/// The differences between an old and a new object.
#[derive(Debug, Default)]
pub struct Differences {
    /// Paths that are new or have another value.
    pub changed: FieldSet,
    /// Paths that are gone.
    pub removed: FieldSet,
}

/// The step to an item of a keyed list; missing key fields take their default.
pub fn item_step(item: &Value, keys: &[KeyField]) -> String {
    let mut key = Map::new();
    for one in keys {
        let value = item
            .get(one.name)
            .cloned()
            .or_else(|| one.default.map(Value::from));
        if let Some(value) = value {
            key.insert(one.name.to_owned(), value);
        }
    }
    format!("k:{}", Value::Object(key))
}

/// The step to a value of a set.
pub fn value_step(value: &Value) -> String {
    format!("v:{value}")
}

/// The paths that applying `value` takes.
pub fn fields_of(shape: &Shape, value: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    collect(shape, value, &mut Vec::new(), &mut set);
    set
}

fn collect(shape: &Shape, value: &Value, path: &mut Vec<String>, set: &mut FieldSet) {
    match (shape.parts(), value) {
        (Parts::Fields, Value::Object(map)) => {
            for (name, one) in map {
                path.push(field(name));
                collect(shape.child(name), one, path, set);
                if one.as_object().is_some_and(Map::is_empty) || one.is_null() {
                    set.insert(path);
                }
                path.pop();
            }
        }
        (Parts::Keys(inner), Value::Object(map)) => {
            for (name, one) in map {
                path.push(field(name));
                collect(inner, one, path, set);
                set.insert(path);
                path.pop();
            }
        }
        (Parts::Values, Value::Array(items)) => {
            for one in items {
                path.push(value_step(one));
                set.insert(path);
                path.pop();
            }
        }
        (Parts::Items(inner, keys), Value::Array(items)) => {
            for one in items {
                path.push(item_step(one, keys));
                collect(inner, one, path, set);
                set.insert(path);
                path.pop();
            }
        }
        (Parts::Whole | Parts::Fields | Parts::Keys(_) | Parts::Values | Parts::Items(..), _) => {
            set.insert(path);
        }
    }
}

/// What changes between `old` and `new`.
pub fn compare(shape: &Shape, old: &Value, new: &Value) -> Differences {
    let mut differences = Differences::default();
    diff(
        shape,
        Some(old),
        Some(new),
        &mut Vec::new(),
        &mut differences,
    );
    differences
}

fn diff(
    shape: &Shape,
    old: Option<&Value>,
    new: Option<&Value>,
    path: &mut Vec<String>,
    out: &mut Differences,
) {
    if old == new {
        return;
    }
    if new.is_none() {
        out.removed.insert(path);
    }
    let parts = shape.parts();
    let is_optional_part = matches!(parts, Parts::Keys(_) | Parts::Values | Parts::Items(..));
    if new.is_some() && old.is_none() && (is_optional_part || is_empty_map(new)) {
        out.changed.insert(path);
    }
    match parts {
        Parts::Whole => {
            if new.is_some() {
                out.changed.insert(path);
            }
        }
        Parts::Fields | Parts::Keys(_) => {
            let (old, new) = (named(old), named(new));
            descend(&old, &new, path, out, |step| {
                shape.child(step.trim_start_matches("f:"))
            });
        }
        Parts::Values => {
            let scalar = Shape::Any;
            let (old, new) = (listed(old, value_step), listed(new, value_step));
            descend(&old, &new, path, out, |_| &scalar);
        }
        Parts::Items(inner, keys) => {
            let step = |item: &Value| item_step(item, keys);
            let (old, new) = (listed(old, step), listed(new, step));
            for added in new.keys().filter(|step| !old.contains_key(*step)) {
                path.push(added.clone());
                out.changed.insert(path);
                path.pop();
            }
            descend(&old, &new, path, out, |_| inner);
        }
    }
}

fn is_empty_map(value: Option<&Value>) -> bool {
    value.and_then(Value::as_object).is_some_and(Map::is_empty)
}

type Steps<'a> = BTreeMap<String, &'a Value>;

fn named(value: Option<&Value>) -> Steps<'_> {
    value
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(name, value)| (field(name), value))
        .collect()
}

fn listed(value: Option<&Value>, step: impl Fn(&Value) -> String) -> Steps<'_> {
    value
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|item| (step(item), item))
        .collect()
}

fn descend<'s>(
    old: &Steps<'_>,
    new: &Steps<'_>,
    path: &mut Vec<String>,
    out: &mut Differences,
    shape: impl Fn(&str) -> &'s Shape,
) {
    let gone = old.keys().filter(|step| !new.contains_key(*step));
    for step in new.keys().chain(gone) {
        path.push(step.clone());
        diff(
            shape(step),
            old.get(step).copied(),
            new.get(step).copied(),
            path,
            out,
        );
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DEPLOYMENT: Shape = Shape::Struct("apps.v1.Deployment");

    #[test]
    fn containers_are_owned_by_name() {
        let value = json!({"spec": {"template": {"spec": {"containers": [
            {"name": "web", "image": "a", "ports": [{"containerPort": 80}]}]}}}});
        assert_eq!(
            fields_of(&DEPLOYMENT, &value).paths(),
            [
                ".spec.template.spec.containers[name=\"web\"].image",
                ".spec.template.spec.containers[name=\"web\"].name",
                ".spec.template.spec.containers[name=\"web\"].ports[containerPort=80,protocol=\"TCP\"].containerPort",
                ".spec.template.spec.containers[name=\"web\"].ports[containerPort=80,protocol=\"TCP\"]",
                ".spec.template.spec.containers[name=\"web\"]",
            ]
        );
    }

    #[test]
    fn only_what_differs_is_changed() {
        let old = json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"replicas": 1}});
        let new = json!({"metadata": {"labels": {"a": "1", "c": "3"}}, "spec": {"replicas": 2}});
        let found = compare(&DEPLOYMENT, &old, &new);
        assert_eq!(
            found.changed.paths(),
            [".metadata.labels.c", ".spec.replicas"]
        );
        assert_eq!(found.removed.paths(), [".metadata.labels.b"]);
    }

    #[test]
    fn network_policy_rules_differ_as_a_whole() {
        let shape = Shape::Struct("networking.v1.NetworkPolicy");
        let old = json!({"spec": {"ingress": [{"from": []}]}});
        let found = compare(&shape, &old, &json!({"spec": {"ingress": []}}));
        assert_eq!(found.changed.paths(), [".spec.ingress"]);
    }
}
